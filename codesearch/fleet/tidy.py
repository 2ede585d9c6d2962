"""Keeps a store quick to ask: small fragments are merged, by Ray's workers, and indexes follow what came in.

An index is built once there is something to gain from it, and then grows by what is new. The vector index is chosen by
size (`vectors`): below that, every vector is compared, which is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import lance
import ray
from lance.optimize import Compaction, CompactionTask, RewriteResult

from codesearch.fleet.commit import KEPT, conflicting
from codesearch.fleet.schema import CHUNKS, IS_CHUNK, TERMS
from codesearch.fleet.vectors import ITERATIONS, SAMPLE, vector_index
from codesearch.store import IvfSq, connect

if TYPE_CHECKING:
    from lance import LanceDataset

    from codesearch.fleet.commit import Writer
    from codesearch.fleet.settings import FleetSettings

_FRAGMENTS: Final = 32
"""Pieces of a table beyond which small ones are merged; each costs an opening a file."""
_BEHIND: Final = 1000
"""Rows that an index may lack: a query looks through them one by one, 8 ms in a thousand."""
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


@ray.remote  # type: ignore[untyped-decorator]
def _rewritten(uri: str, task: str) -> str:
    wanted = CompactionTask.from_json(task)
    return str(wanted.execute(lance.dataset(uri, version=wanted.read_version)).json())


def untidy(writer: Writer) -> bool:
    """Tell whether there is anything to do: after a run that changed something, or one that died before it was tidy."""
    return any(
        len(dataset.get_fragments()) > _FRAGMENTS or _missing(dataset, table) or _behind(dataset)
        for table in (TERMS, CHUNKS)
        for dataset in (writer.dataset(table),)
    )


def tidy(writer: Writer, settings: FleetSettings) -> None:
    """Merge fragments, bring indexes up to date, and remove what no version in use needs.

    Where another driver is at work, what is in its way is left to it, or to the next run.
    """
    try:
        _tidy(writer, settings)
    except (OSError, RuntimeError) as error:
        if not conflicting(error):
            raise


def _tidy(writer: Writer, settings: FleetSettings) -> None:
    writer.settle()
    for table in (TERMS, CHUNKS):
        _compact(writer.dataset(table), settings)
    _index(writer)
    for table in (TERMS, CHUNKS):
        writer.dataset(table).cleanup_old_versions(older_than=KEPT)


def _compact(dataset: LanceDataset, settings: FleetSettings) -> None:
    """Have Ray's workers merge small fragments, where there are many."""
    if len(dataset.get_fragments()) <= _FRAGMENTS:
        return
    plan = Compaction.plan(dataset, {"target_rows_per_fragment": _ROWS})
    run = _rewritten.options(num_cpus=settings.cpus, memory=settings.memory, max_retries=settings.retries)
    tasks = [run.remote(dataset.uri, task.json()) for task in plan.tasks]
    Compaction.commit(dataset, [RewriteResult.from_json(done) for done in ray.get(tasks)])


def index_all(writer: Writer) -> None:
    """Build the indexes that are missing, and let the others have what came in since."""
    writer.settle()
    _index(writer)


def _index(writer: Writer) -> None:
    for table in (TERMS, CHUNKS):
        dataset = writer.dataset(table)
        if _behind(dataset):
            dataset.optimize.optimize_indices()
        for column in _missing(dataset, table):
            if column == "vector":
                _index_vectors(writer, dataset)
            elif column == "terms":
                dataset.create_scalar_index(column, "INVERTED", name=_name(column), **_WORDS)
            else:
                dataset.create_scalar_index(column, _SCALAR[table][column], name=_name(column))
    writer.name_terms()


def _name(column: str) -> str:
    return f"{column}_idx"


def _missing(dataset: LanceDataset, table: str) -> list[str]:
    """Return the columns of TABLE that want an index, or a larger one."""
    had = {index.name for index in dataset.describe_indices()}
    wanted = [*_SCALAR[table], *(["terms"] if table == CHUNKS else [])]
    missing = [column for column in wanted if _name(column) not in had]
    index = vector_index(dataset.count_rows(IS_CHUNK)) if table == CHUNKS else None
    if index and (_name("vector") not in had or index.partitions > _GROWN * _partitions(dataset)):
        missing.append("vector")
    return missing


def _behind(dataset: LanceDataset) -> bool:
    """Tell whether many rows have come in that an index has not."""
    names = (index.name for index in dataset.describe_indices())
    return any(dataset.stats.index_stats(name)["num_unindexed_rows"] > _BEHIND for name in names)


def _partitions(dataset: LanceDataset) -> int:
    said = dataset.stats.index_stats(_name("vector"))["indices"]
    return max(int(one["num_partitions"]) for one in said)


def _index_vectors(writer: Writer, dataset: LanceDataset) -> None:
    index = vector_index(dataset.count_rows(IS_CHUNK))
    assert index is not None, "where there are few rows none is missing"
    config = IvfSq("cosine", index.partitions, max_iterations=ITERATIONS, sample_rate=SAMPLE)
    connect(writer.uri).open_table(CHUNKS).create_index("vector", config=config, name=_name("vector"), replace=True)
