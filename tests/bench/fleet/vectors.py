"""How vectors of a real store are best indexed: time and memory to build, and what is found of the true nearest.

The store is one that `codesearch fleet index` made of real repositories. Asked are comments and docstrings that stand
in it. What is true is worked out by comparing all vectors. Indexes are built on a copy of the vectors, so the store
stays as it is; each is built in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import json
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from lancedb.index import IvfRq
from numpy.typing import NDArray

from codesearch import bundle
from codesearch.encode import OnnxEncoder
from codesearch.fleet.schema import CURSOR, ENTRY
from codesearch.fleet.store import FleetStore, bundle_of
from codesearch.fleet.vectors import ITERATIONS, SAMPLE, vector_index
from codesearch.store import IvfSq, col, connect, unpacked

KINDS = {
    "sq": (IvfSq, ITERATIONS, SAMPLE),
    "rq": (IvfRq, ITERATIONS, SAMPLE),
    "sq-thorough": (IvfSq, 50, 256),
}
"""A byte a number as the product has it, a bit a number, and the product's with Lance's own effort in training."""
WANTED = (10, 200)
"""Results of a page, and candidates of a search."""
_TOLD = re.compile(r'^\s*(?:#|//|/?\*+|"""|--)\s*([A-Z][\w ,\'-]{25,90}[a-z])\.?\s*$', re.MULTILINE)
_BLOCK = 1 << 16
_CHUNKS = (col("kind") != ENTRY) & (col("kind") != CURSOR)


def questions(store: str, count: int, seed: int = 0) -> list[str]:
    """Return COUNT sentences of comments and documentation of the code in STORE, the same each time."""
    table = connect(store).open_table("chunks")
    found: set[str] = set()
    kinds = col("kind").isin(["function", "method", "class"])
    for batch in table.search().where(kinds).select(["text"]).to_batches(batch_size=_BLOCK):
        for text in batch.column("text").to_pylist():
            if (told := _TOLD.search(text)) and len(told[1].split()) >= 5:
                found.add(told[1].strip())
    return random.Random(seed).sample(sorted(found), min(count, len(found)))


def encoded(store: str, asked: list[str]) -> NDArray[np.float32]:
    """Return the vectors of questions, (questions, dimensions)."""
    return OnnxEncoder(bundle.load(bundle_of(store))).encode(asked, "query")


def copied(store: str, target: Path, rows: int | None) -> int:
    """Copy the vectors of STORE, at most ROWS of them, into a table of their own in TARGET; return how many."""
    import lance
    import pyarrow as pa

    shutil.rmtree(target, ignore_errors=True)
    table = connect(store).open_table("chunks")
    query = table.search().where(_CHUNKS).select(["vector"])
    batches = query.limit(rows).to_batches(batch_size=_BLOCK) if rows else query.to_batches(batch_size=_BLOCK)
    schema = pa.schema([table.schema.field("vector")])
    plain = (pa.RecordBatch.from_arrays([batch.column("vector")], schema=schema) for batch in batches)
    lance.write_dataset(pa.RecordBatchReader.from_batches(schema, plain), str(target / "vectors.lance"))
    return int(lance.dataset(str(target / "vectors.lance")).count_rows())


def truth(rows: Any, asked: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the numbers of the ROWS, a query's, nearest to each of ASKED, nearest first, (questions, max(WANTED))."""
    most = max(WANTED)
    best = np.full((len(asked), 0), -2.0, np.float32)
    where = np.empty((len(asked), 0), np.uint64)
    for batch in rows.select(["vector"]).with_row_id(True).to_batches(batch_size=_BLOCK):
        column = batch.column("vector")
        block = unpacked(np.asarray(column.flatten().to_numpy()).reshape(len(column), -1))
        near = asked @ block.T
        places = np.broadcast_to(batch.column("_rowid").to_numpy(), near.shape)
        near, places = np.concatenate([best, near], 1), np.concatenate([where, places], 1)
        kept = np.argpartition(-near, min(most, near.shape[1] - 1), 1)[:, :most]
        best, where = np.take_along_axis(near, kept, 1), np.take_along_axis(places, kept, 1)
    order = np.argsort(-best, 1)
    return np.take_along_axis(where, order, 1)


def build(folder: str, kind: str, partitions: int) -> None:
    """Build an index of KIND and print what that cost; in a process of its own."""
    vectors = connect(folder).open_table("vectors")
    index, iterations, sample = KINDS[kind]
    config = index("cosine", partitions, max_iterations=iterations, sample_rate=sample)
    before = resource.getrusage(resource.RUSAGE_SELF)
    size = _size(Path(folder))
    started = time.monotonic()
    vectors.create_index("vector", config=config, name="v", replace=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    said = {
        "seconds": time.monotonic() - started,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1e3,
        "index_mb": (_size(Path(folder)) - size) / 1e6,
    }
    print(json.dumps(said))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def found(
    folder: Path, asked: NDArray[np.float32], true: NDArray[np.uint64], probes: int, refine: int
) -> dict[str, float]:
    """Ask the index in FOLDER each question; return recall and milliseconds."""
    table = connect(str(folder)).open_table("vectors")
    share: dict[int, list[float]] = {wanted: [] for wanted in WANTED}
    took = []
    for number, vector in enumerate(asked):
        started = time.perf_counter()
        query = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(max(WANTED))
        if probes:
            query = query.nprobes(probes)
            query = query.refine_factor(refine) if refine else query
        else:
            query = query.bypass_vector_index()
        got = query.with_row_id(True).select(["_distance"]).to_arrow()
        took.append((time.perf_counter() - started) * 1000)
        for wanted in WANTED:
            share[wanted].append(_share(got["_rowid"].to_numpy(), true[number], wanted))
    return {
        **{f"recall@{wanted}": float(np.mean(share[wanted])) for wanted in WANTED},
        "p50": median(took),
        "p95": quantiles(took, n=20)[-1],
    }


def table(
    store: str, work: Path, rows: int | None, count: int, kinds: list[str], probes: list[int], parts: int | None
) -> None:
    """Print what each of KINDS costs and finds."""
    here = copied(store, work, rows)
    asked = encoded(store, questions(store, count))
    true = truth(connect(str(work)).open_table("vectors").search(), asked)
    index = vector_index(here)
    partitions = parts or (index.partitions if index else round(here**0.5))
    print(f"{here:,} vectors, {len(asked)} questions, {partitions} partitions", flush=True)
    exact = found(work, asked[:50], true[:50], 0, 0)
    print(f"{'exact':12} {_line(exact)}", flush=True)
    for kind in kinds:
        command = [sys.executable, "-m", "tests.bench.fleet", "build", str(work), kind, str(partitions)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{kind:12} can not be built: {done.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        cost: dict[str, Any] = json.loads(done.stdout)
        print(f"{kind:12} " + "  ".join(f"{name} {value:,.1f}" for name, value in cost.items()), flush=True)
        for looked in probes:
            for refine in (0, 1, 2):
                got = found(work, asked, true, looked, refine)
                print(f"{'':12} probes {looked:4} refine {refine}  {_line(got)}", flush=True)


def _share(found: NDArray[np.uint64], true: NDArray[np.uint64], wanted: int) -> float:
    return len(np.intersect1d(found[:wanted], true[:wanted])) / wanted


def recall(store: str, count: int) -> None:
    """Print how much of the true nearest the product finds in STORE, by the index that it has."""
    asked = encoded(store, questions(store, count))
    fleet = FleetStore.open(store)
    true = truth(connect(store).open_table("chunks").search().where(_CHUNKS), asked)
    took, shares = [], []
    for vector, nearest in zip(asked, true, strict=True):
        started = time.perf_counter()
        found = fleet.nearest(vector, max(WANTED))
        took.append((time.perf_counter() - started) * 1000)
        shares.append([_share(found, nearest, wanted) for wanted in WANTED])
    told = {f"recall@{wanted}": mean for wanted, mean in zip(WANTED, np.mean(shares, 0).tolist(), strict=True)}
    print(f"{fleet.chunks:,} chunks, {len(asked)} questions, {vector_index(fleet.chunks)}")
    print(_line(told | {"p50": median(took), "p95": quantiles(took, n=20)[-1]}))


def _line(said: dict[str, float]) -> str:
    return "  ".join(
        f"{name} {value:.3f}" if "recall" in name else f"{name} {value:.1f} ms" for name, value in said.items()
    )
