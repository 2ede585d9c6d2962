"""From folders of repositories to a training corpus: documented functions as words, then as pieces.

    SOURCES/repositories.json    [{"name", "github", "commit", "license", "language"}], one folder a name beside it
    WORK/records/<name>.jsonl    what our own chunker found, one record a chunk, as words
    WORK/pieces.npz              the same as piece numbers, ready to be batched

What is measured must not be learnt: files below a folder that is named like a held-out repository, and files that share
functions with one, stay out, wherever they were copied to.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from codesearch.chunk import chunk, decode
from codesearch.files import Skip, read, scan
from codesearch.processes import spawning
from codesearch.settings import Settings
from codesearch.text import words
from codesearch.types import Chunk, Kind

HELD_OUT: Final = frozenset(
    """flask click express gin gson monolog rack axum trpc dapper ktor cats alamofire fmt fmtlib plug libuv nvm aeson
    lazy.nvim zls aiohttp fastapi httpx model2vec pydantic requests starlette axios redux cobra chi commons-lang
    commons-lang3 jackson-databind guzzle laravel sinatra rails tokio serde zod vitest messagepack-csharp
    newtonsoft-json newtonsoft.json kotlinx.coroutines exposed circe http4s vapor snapkit nlohmann nlohmann-json
    nlohmann_json abseil abseil-cpp absl phoenix ecto curl redis bats bats-core bash-it pandoc xmonad telescope.nvim
    mini.nvim zig zig-clap""".split()
)
"""Repositories kept for measuring, by the names their copies go by."""

MOST_CHUNKS: Final = 8000
"""Chunks taken from one repository, drawn at random, so that a giant does not set the tone."""

_SHORTEST_DOC: Final = 3
"""Words a doc comment must have to be a question."""

_TELLING: Final = 12
"""Words a body must have before an equal one counts as a copy; shorter ones are getters that everybody writes."""


@dataclass(frozen=True, slots=True)
class Record:
    """One chunk, each field as words joined by spaces."""

    language: str
    path: str
    symbol: str
    doc: str
    """First paragraph of the doc comment; empty where there is none worth asking."""
    body: str
    """The source without its doc comment."""


def without_doc(chunk: Chunk) -> str:
    """Return the chunk's source without the lines that its doc comment is made of."""
    told = {line for line in (" ".join(words(line)) for line in chunk.doc.splitlines()) if line}
    if not told:
        return chunk.text
    return "\n".join(line for line in chunk.text.splitlines() if " ".join(words(line)) not in told)


def first_paragraph(doc: str) -> str:
    """Return the prose up to the first blank line, or to the first line that names a parameter or a tag."""
    kept: list[str] = []
    for line in doc.strip().splitlines():
        line = line.strip()
        if not line or line.startswith(("@", ":param", "\\param", "```", ">>>", "Args:", "Parameters", "Returns:")):
            if kept:
                break
            continue
        kept.append(line)
    return " ".join(kept)


def digest(body: str) -> bytes:
    """Return a key under which copies of one body meet: 8 bytes of its words."""
    return blake2b(body.encode(), digest_size=8).digest()


def chunks_of(root: Path) -> Iterator[list[Chunk]]:
    """Yield the chunks of each indexable file below ROOT, by the same rules as the index."""
    settings = Settings()
    for entry in scan(root, settings):
        if isinstance(entry, Skip):
            continue
        data = read(entry, settings)
        if not isinstance(data, Skip):
            yield chunk(entry.path, decode(data))


def record(chunk: Chunk) -> Record:
    """Return CHUNK as a training record."""
    doc = words(first_paragraph(chunk.doc))
    asks = len(doc) >= _SHORTEST_DOC and chunk.kind is not Kind.SECTION
    return Record(
        chunk.language,
        " ".join(words(chunk.path)),
        " ".join(words(chunk.symbol)),
        " ".join(doc) if asks else "",
        " ".join(words(without_doc(chunk))),
    )


def bodies_of(root: Path) -> set[bytes]:
    """Return the digests of all telling bodies below ROOT."""
    found = set()
    for chunks in chunks_of(root):
        for record_ in map(record, chunks):
            if record_.body.count(" ") >= _TELLING:
                found.add(digest(record_.body))
    return found


def records_of(root: Path, held_out: frozenset[bytes], seed: int) -> list[Record]:
    """Return at most MOST_CHUNKS records below ROOT, none from a file that shares bodies with a held-out repository."""
    kept: list[Record] = []
    for chunks in chunks_of(root):
        if chunks and HELD_OUT & {part.lower() for part in PurePosixPath(chunks[0].path).parts[:-1]}:
            continue
        records = [r for r in map(record, chunks) if r.body.count(" ") >= 4]
        if any(digest(r.body) in held_out for r in records if r.body.count(" ") >= _TELLING):
            continue
        kept += records
    if len(kept) > MOST_CHUNKS:
        # Documented chunks are the scarce kind: keep them first.
        random.Random(seed).shuffle(kept)
        kept.sort(key=lambda r: not r.doc)
        kept = kept[:MOST_CHUNKS]
    return kept


def _extract(job: tuple[Path, Path, frozenset[bytes], int]) -> tuple[str, int, int]:
    root, out, held_out, seed = job
    records = records_of(root, held_out, seed)
    lines = (json.dumps(asdict(r), ensure_ascii=False) for r in records)
    partial = out.with_suffix(".partial")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="replace")
    partial.rename(out)
    return root.name, len(records), sum(bool(r.doc) for r in records)


def repositories(sources: Path) -> list[dict[str, Any]]:
    """Return what SOURCES/repositories.json lists and is there."""
    listed: list[dict[str, Any]] = json.loads((sources / "repositories.json").read_text(encoding="utf-8"))
    return [r for r in listed if (sources / r["github"].replace("/", "+")).is_dir()]


def extract(
    sources: Path, measured: Sequence[Path], work: Path, processes: int = 2, seed: int = 0
) -> Iterator[tuple[str, int, int]]:
    """Write records of every repository of SOURCES; yield (name, chunks, documented). Finished ones are not redone.

    MEASURED are the folders of held-out repositories, each with one folder a repository.
    """
    out = work / "records"
    out.mkdir(parents=True, exist_ok=True)
    spawn = spawning()
    with ProcessPoolExecutor(processes, spawn) as pool:
        known = work / "held_out.bin"
        if not known.exists():
            roots = sorted(p for folder in measured for p in folder.iterdir() if p.is_dir())
            held_out = frozenset().union(*pool.map(bodies_of, roots))
            known.write_bytes(b"".join(sorted(held_out)))
        packed = known.read_bytes()
        held_out = frozenset(packed[i : i + 8] for i in range(0, len(packed), 8))
        folders = [r["github"].replace("/", "+") for r in repositories(sources)]
        jobs = [(sources / f, out / f"{f}.jsonl", held_out, seed) for f in folders]
        yield from pool.map(_extract, [j for j in jobs if not j[1].exists()])


def read_records(work: Path) -> Iterator[tuple[str, Record]]:
    """Yield (repository, record) of everything extracted, each distinct body once."""
    seen: set[bytes] = set()
    for path in sorted((work / "records").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                r = Record(**json.loads(line))
                key = digest(r.body)
                if key not in seen:
                    seen.add(key)
                    yield path.stem, r


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of different lengths: `values[offsets[i]:offsets[i + 1]]` is the i-th."""

    values: NDArray[np.uint16]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> NDArray[np.uint16]:
        """Return the i-th sequence, a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[NDArray[np.uint16]]:
        """Yield all sequences, views."""
        return map(self.__getitem__, range(len(self)))

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> Ragged:
        """Pack ROWS."""
        lengths, values = [0], []
        for row in rows:
            lengths.append(len(row))
            values.append(np.asarray(row, np.uint16))
        joined = np.concatenate(values) if values else np.zeros(0, np.uint16)
        return cls(joined, np.cumsum(lengths, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Pieces:
    """The corpus as piece numbers; row i of every field is one chunk."""

    repository: NDArray[np.int32]
    path: Ragged
    symbol: Ragged
    doc: Ragged
    body: Ragged
    repositories: tuple[str, ...]

    FIELDS = ("path", "symbol", "doc", "body")

    def save(self, file: Path) -> None:
        """Write everything to one .npz."""
        arrays: dict[str, NDArray[Any]] = {"repository": self.repository, "repositories": np.array(self.repositories)}
        for name in self.FIELDS:
            ragged: Ragged = getattr(self, name)
            arrays[f"{name}.values"], arrays[f"{name}.offsets"] = ragged.values, ragged.offsets
        np.savez(file, **arrays)

    @classmethod
    def load(cls, file: Path) -> Pieces:
        """Read what `save` wrote."""
        with np.load(file, allow_pickle=False) as z:
            fields = {n: Ragged(z[f"{n}.values"], z[f"{n}.offsets"]) for n in cls.FIELDS}
            return cls(repository=z["repository"], repositories=tuple(map(str, z["repositories"])), **fields)


def tokenise(work: Path, tokenizer: Tokenizer) -> Pieces:
    """Return everything extracted as pieces; unknown pieces are left out."""
    return pieces_of(read_records(work), tokenizer)


def pieces_of(records: Iterable[tuple[str, Record]], tokenizer: Tokenizer, batch: int = 4096) -> Pieces:
    """Return RECORDS, each with the name of its repository, as pieces; unknown pieces are left out."""
    names: dict[str, int] = {}
    repository: list[int] = []
    columns: dict[str, list[NDArray[np.uint16]]] = {n: [] for n in Pieces.FIELDS}
    unknown = tokenizer.token_to_id("[UNK]")

    def flush(rows: list[Record]) -> None:
        for name in Pieces.FIELDS:
            for encoding in tokenizer.encode_batch_fast([getattr(r, name) for r in rows]):
                ids = np.array(encoding.ids, np.uint16)
                columns[name].append(ids[ids != unknown])

    rows: list[Record] = []
    for name, r in records:
        repository.append(names.setdefault(name, len(names)))
        rows.append(r)
        if len(rows) == batch:
            flush(rows)
            rows = []
    flush(rows)
    packed = {n: Ragged.of(c) for n, c in columns.items()}
    return Pieces(repository=np.array(repository, np.int32), repositories=tuple(names), **packed)
