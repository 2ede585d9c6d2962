"""Keeps a store quick to ask: small fragments are merged, by Ray's workers, and indexes follow what came in.

An index is built once there is something to gain from it, and then grows by what is new. The vector index is chosen by
size (`vectors`): below that, every vector is compared, which is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import lance
import ray
from lance.optimize import Compaction, CompactionTask

from codesearch.fleet.commit import KEPT
from codesearch.fleet.schema import CHUNKS, TERMS
from codesearch.fleet.vectors import vector_index

if TYPE_CHECKING:
    from lance import LanceDataset

    from codesearch.fleet.commit import Writer
    from codesearch.fleet.settings import FleetSettings

_FRAGMENTS: Final = 32
"""Pieces of a table beyond which small ones are merged; each costs an opening a file."""
_ROWS: Final = 1 << 20
"""Rows of a merged fragment: about a gigabyte."""
_SCALAR: Final = {
    CHUNKS: {
        "repository": "BTREE",
        "path": "BTREE",
        "name": "BTREE",
        "file": "BTREE",
        "owner": "BITMAP",
        "visibility": "BITMAP",
        "language": "BITMAP",
        "kind": "BITMAP",
        "test": "BITMAP",
    },
    TERMS: {"term": "BTREE"},
}
_WORDS: Final = {
    "base_tokenizer": "whitespace",
    "lower_case": False,
    "stem": False,
    "remove_stop_words": False,
    "ascii_folding": False,
    "max_token_length": None,
    "with_position": False,
}
"""Terms are ours already, so Lance splits at white space and does nothing else; see `codesearch.store`."""
_GROWN: Final = 2.0
"""How many times too few partitions an index may have before it is trained anew."""
_VECTOR: Final = "vector_idx"


@ray.remote  # type: ignore[untyped-decorator]
def _rewritten(uri: str, task: str) -> str:
    wanted = CompactionTask.from_json(task)
    return str(wanted.execute(lance.dataset(uri, version=wanted.read_version)).json())


def compact(writer: Writer, settings: FleetSettings) -> None:
    """Merge small fragments, where there are many, and remove what no version in use needs."""
    from lance.optimize import RewriteResult

    for table in (TERMS, CHUNKS):
        dataset = writer.dataset(table)
        if len(dataset.get_fragments()) <= _FRAGMENTS:
            continue
        plan = Compaction.plan(dataset, {"target_rows_per_fragment": _ROWS})
        run = _rewritten.options(num_cpus=settings.cpus, memory=settings.memory, max_retries=settings.retries)
        tasks = [run.remote(dataset.uri, task.json()) for task in plan.tasks]
        Compaction.commit(dataset, [RewriteResult.from_json(done) for done in ray.get(tasks)])
    writer.name_terms()
    for table in (TERMS, CHUNKS):
        writer.dataset(table).cleanup_old_versions(older_than=KEPT)


def index_all(writer: Writer) -> None:
    """Build the indexes that are missing, and let the others have what came in since."""
    for table, columns in _SCALAR.items():
        dataset = writer.dataset(table)
        had = {index.name for index in dataset.describe_indices()}
        if had:
            dataset.optimize.optimize_indices()
        for column, kind in columns.items():
            if f"{column}_idx" not in had:
                dataset.create_scalar_index(column, kind, name=f"{column}_idx")
        if table == CHUNKS and "terms_idx" not in had:
            dataset.create_scalar_index("terms", "INVERTED", name="terms_idx", **_WORDS)
    _index_vectors(writer.dataset(CHUNKS))
    writer.name_terms()


def _index_vectors(dataset: LanceDataset) -> None:
    wanted = vector_index(dataset.count_rows())
    if wanted is None:
        return
    names = {index.name for index in dataset.describe_indices()}
    if _VECTOR in names:
        said: dict[str, Any] = dataset.stats.index_stats(_VECTOR)
        trained = said["indices"][0].get("num_partitions", 0)
        if wanted.partitions <= _GROWN * trained:
            return
    dataset.create_index(
        "vector", "IVF_SQ", name=_VECTOR, metric="cosine", num_partitions=wanted.partitions, replace=True
    )
