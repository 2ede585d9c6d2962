"""What is drawn from a store of many repositories: by Ray, for processes that train; no machine has all of the code.

    ledger ─ quotas ─ Ray Data: a repository a task ─▶ files ─ chunks ─ material ─▶ its pairs and groups
                                                                                          │ as they come
    processes ◀─ each its part, in an order of the epoch's ─ one Lance table at a place ◀─┘

A repository gives as many pairs and groups as the square root of its size has of all, so that large ones do not drown
the others; each group and each few pairs are of one repository, drawn as for a repository alone (`shown.py`). The table
is there as a whole or not at all, and says what it was drawn from: a run that was cut off goes on with the same draws.

Neither reading nor drawing needs torch. What is between machines is Ray's and Lance's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from warnings import catch_warnings, filterwarnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer

from codesearch.bundle import TOKENIZER
from codesearch.errors import CodesearchError, UsageError
from codesearch.fleet.failures import short, storing
from codesearch.fleet.schema import Entry
from codesearch.paths import base_bundle
from revela_train.batches import Bags, PairBatch
from revela_train.config import AdaptConfig, Objective
from revela_train.corpus import Ragged
from revela_train.documents import material
from revela_train.groups import Group
from revela_train.shown import MEASURED, Shown, groups_of, has_pairs, pairs_of
from revela_train.stored import Unsaid, files_of
from revela_train.tokenizer import of_lm

if TYPE_CHECKING:
    from revela_train.distributed import World

PAIRS: Final = 32
"""Pairs that are drawn together, of one repository: telling neighbours apart is what search within one needs. A batch
has some of many."""

_TABLE: Final = "draws"
_SAID: Final = b"revela-train"
_OFFERED, _PAIRS, _GROUP, _UNSEEN = "offered", "pairs", "group", "unseen"
"""Kinds of rows. The first says that a repository was read, or why it could not be."""
_BLOCKS: Final = 1000
"""Tasks at most; of fewer repositories each is one."""
_RETRIES: Final = 2
"""Of a task whose worker died."""
_LOST: Final = "no worker lives to read it"
_READ: Final = 64
"""Rows that a process reads at a time."""
_BITS: Final = 32
"""Of the number that is a chunk's within its repository."""

_SEQUENCES: Final = pa.list_(pa.list_(pa.uint16()))
_COLUMNS: Final = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("repository", pa.string()),
        pa.field("number", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("queries", _SEQUENCES),
        pa.field("passages", _SEQUENCES),
        pa.field("tokens", _SEQUENCES),
        pa.field("words", pa.list_(pa.int64())),
        pa.field("rows", pa.list_(pa.int64())),
    ]
)
"""A draw. Pairs have the chunks that they are of as `rows`, a group the documents; tokens and words are a group's, the
reason is why a repository offers nothing."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is drawn from one repository."""

    repository: str
    place: int
    """Its number among all."""
    pairs: int
    """Times PAIRS."""
    groups: int
    unseen: int


def quotas(entries: Sequence[Entry], config: AdaptConfig) -> list[Quota]:
    """Return what a run by CONFIG draws from each repository of ENTRIES, all in all as much as its steps take."""
    entries = sorted(entries, key=lambda entry: entry.repository)
    roots = np.sqrt([entry.chunks for entry in entries])
    rng = np.random.default_rng(config.seed)
    wanted = [0, 0, 0]
    if has_pairs(config):
        wanted[0] = config.steps * config.batch // PAIRS
    if config.objective is not Objective.PAIRS:
        wanted[1:] = -(-config.steps // _every(config)) * config.groups, MEASURED
    counts = [rng.multinomial(count, roots / roots.sum()).tolist() for count in wanted]
    found = (Quota(e.repository, i, *its) for i, (e, *its) in enumerate(zip(entries, *counts, strict=True)))
    return [one for one in found if one.pairs or one.groups]


def _every(config: AdaptConfig) -> int:
    """Return how many steps there are from one with Revela to the next."""
    return config.revela_every if has_pairs(config) else 1


def said(place: str) -> dict[str, Any] | None:
    """Return what the draws at PLACE say of themselves; None where there are none."""
    table = _opened(place)
    return None if table is None else json.loads(table.schema.metadata[_SAID])


def _opened(place: str) -> Any:
    from codesearch.store import connect, opened  # after Ray has begun its processes

    return opened(connect(place), _TABLE)


# Drawing, by Ray.


def draw(
    uri: str,
    version: int,
    wanted: Sequence[Quota],
    config: AdaptConfig,
    unsaid: Unsaid,
    place: str,
    says: dict[str, Any],
) -> dict[str, str]:
    """Draw what is WANTED of the store at URI as it is at VERSION, and nothing UNSAID, into the table at PLACE.

    It SAYS of itself what it is drawn from, with the number of `chunks` in that. Returns the repositories that are left
    out, with the reason. Wants to be connected to Ray. Raises UsageError where all are.
    """
    import ray.data
    from ray.util.annotations import RayDeprecationWarning

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    context.max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    repositories = ray.data.from_items([asdict(one) for one in wanted], override_num_blocks=min(len(wanted), _BLOCKS))
    given = {"uri": uri, "version": version, "config": config, "unsaid": unsaid}
    with catch_warnings():
        # It wants to take no such argument from Ray 2.64 on, and has no other to say that retries shall end.
        filterwarnings("ignore", category=RayDeprecationWarning)
        found = repositories.map_batches(
            _drawn, fn_kwargs=given, batch_size=1, batch_format="pyarrow", num_cpus=1, max_retries=_RETRIES
        )
    left_out = write(place, found.iter_batches(batch_size=None, batch_format="pyarrow"), says)
    lost = {one.repository: _LOST for one in wanted}
    return {name: reason for name, reason in (lost | left_out).items() if reason}


def write(place: str, tables: Iterable[pa.Table], says: dict[str, Any]) -> dict[str, str]:
    """Put TABLES of draws at PLACE as they come, with what it SAYS of itself; return why repositories offer nothing.

    Of those that do, the reason is empty. Raises UsageError where none do.
    """
    from codesearch.store import connect

    offered: dict[str, str] = {}

    def some() -> Iterator[pa.Table]:
        for table in tables:
            told = table.filter(pc.equal(table["kind"], _OFFERED))
            offered.update(zip(told["repository"].to_pylist(), told["reason"].fill_null("").to_pylist(), strict=True))
            if len(drawn_of := table.filter(pc.is_null(table["reason"]))):
                yield drawn_of.cast(_COLUMNS)

    waiting = some()
    if (first := next(waiting, None)) is None:
        raise UsageError(f"none of the repositories can be read: {next(iter(offered.values()), _LOST)}.")
    batches = (batch for table in chain([first], waiting) for batch in table.to_batches())
    columns = _COLUMNS.with_metadata({_SAID: json.dumps(says).encode()})
    connect(place).create_table(_TABLE, pa.RecordBatchReader.from_batches(columns, batches), mode="overwrite")
    return offered


def _drawn(quotas: pa.Table, uri: str, version: int, config: AdaptConfig, unsaid: Unsaid) -> Iterator[pa.Table]:
    """Yield the draws of one repository. Runs on any worker."""
    for quota in quotas.to_pylist():
        yield drawn(uri, version, Quota(**quota), config, unsaid)


def drawn(uri: str, version: int, quota: Quota, config: AdaptConfig, unsaid: Unsaid) -> pa.Table:
    """Return what QUOTA wants of a repository of the store at URI, a row a draw."""
    try:
        rows = list(_rows(uri, version, quota, config, unsaid))
    except (CodesearchError, OSError, ValueError, RuntimeError) as error:  # the last three are Lance's, too
        reason = short(str(error)) or type(error).__name__
        rows = [{"repository": quota.repository, "kind": _OFFERED, "reason": reason}]
    return pa.Table.from_pylist(rows, _COLUMNS)


def _rows(uri: str, version: int, quota: Quota, config: AdaptConfig, unsaid: Unsaid) -> Iterator[dict[str, Any]]:
    pieces, tokens = _tokenizers()
    chunks = unsaid.chunks(files_of(_store(uri, version), quota.repository))
    offered = material(chunks, pieces, None if config.objective is Objective.PAIRS else tokens)
    count = len(offered.pieces.repository)
    named = {"repository": quota.repository}
    yield named | {"kind": _OFFERED}
    if quota.pairs and count >= 2 * PAIRS:
        pairs = pairs_of(offered, config, PAIRS)
        for number in range(quota.pairs):
            batch = pairs(number)
            both = {"queries": batch.queries.rows(), "passages": batch.passages.rows()}
            rows = batch.body + (quota.place << _BITS)
            yield named | both | {"kind": _PAIRS, "number": number, "rows": rows}
    groups, unseen = groups_of(offered, config)
    for kind, sampler, most in ((_GROUP, groups, quota.groups), (_UNSEEN, unseen, quota.unseen)):
        if sampler is None:
            continue
        for number in range(most):
            yield named | _row(sampler(number)) | {"kind": kind, "number": number}


def _row(group: Group) -> dict[str, Any]:
    queries = None if group.queries is None else group.queries.rows()
    held = {"queries": queries, "passages": group.bags.rows(), "tokens": list(group.tokens)}
    return held | {"words": group.words, "rows": group.rows}


@lru_cache(1)
def _tokenizers() -> tuple[Tokenizer, Tokenizer]:
    return Tokenizer.from_file(str(base_bundle() / TOKENIZER)), of_lm()


@lru_cache(1)
def _store(uri: str, version: int) -> Any:
    from codesearch.fleet.store import FleetStore

    return FleetStore.open(uri, version)


# Reading, by the processes that train.


def shown(place: str, config: AdaptConfig, us: World) -> Shown:
    """Return the draws at PLACE as process US of a run by CONFIG is shown them.

    Raises UsageError where the processes can not share a step.
    """
    table = _opened(place)
    keys = table.search().select(["kind", "number"]).with_row_id(True).to_arrow()
    kinds, ids = keys["kind"].to_numpy(), keys["_rowid"].to_numpy()
    pairs, groups = (_Stream(place, table, ids[kinds == kind], config.seed, us) for kind in (_PAIRS, _GROUP))
    rows = config.batch // PAIRS
    if rows % us.size or config.groups % us.size:
        raise UsageError(
            f"{us.size} processes can not share {config.groups} groups and {rows} times {PAIRS} pairs a step alike: "
            "start as many as divide both, or give --groups another number."
        )

    def batch(step: int) -> PairBatch:
        mine = range(step * rows + us.rank, (step + 1) * rows, us.size)
        return _joined([pairs[number] for number in mine])

    def group(number: int) -> Group:
        step, place = divmod(number, config.groups)
        return _group(groups[step // _every(config) * config.groups + place])

    unseen = [_group(row) for row in _read(table, ids[kinds == _UNSEEN])]
    chunks = json.loads(table.schema.metadata[_SAID])["chunks"]
    return Shown(chunks, batch if len(pairs) else None, group if len(groups) else None, unseen)


class _Stream:
    """Draws of one kind, in a new order each epoch: of those, each process reads its part, some at a time."""

    def __init__(self, place: str, table: Any, ids: NDArray[np.uint64], seed: int, us: World) -> None:
        """Read rows of TABLE, which is at PLACE, that are numbered IDS."""
        self._place, self._table, self._ids, self._seed, self._us = place, table, np.sort(ids), seed, us
        self._block, self._rows = -1, list[dict[str, Any]]()

    def __len__(self) -> int:
        """Return the number of draws of an epoch."""
        return len(self._ids)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return draw NUMBER of all processes; the numbers of this one have its rank as their rest."""
        mine, rest = divmod(number, self._us.size)
        assert rest == self._us.rank, f"draw {number} is another process's"
        block, place = divmod(mine, _READ)
        if block != self._block:
            numbers = (np.arange(_READ) + block * _READ) * self._us.size + rest
            with storing(self._place):
                self._block, self._rows = block, _read(self._table, self._ordered(numbers))
        return self._rows[place]

    def _ordered(self, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the rows that the draws with these NUMBERS are."""
        epochs, places = np.divmod(numbers, len(self._ids))
        found = np.empty(len(numbers), np.uint64)
        for epoch in np.unique(epochs):
            order = np.random.default_rng((self._seed, epoch)).permutation(self._ids)
            found[epochs == epoch] = order[places[epochs == epoch]]
        return found


def _read(table: Any, ids: NDArray[np.uint64]) -> list[dict[str, Any]]:
    """Return the rows of TABLE that are numbered IDS, in this order; one may be asked for twice."""
    if not len(ids):
        return []
    columns = [name for name in _COLUMNS.names if name not in ("kind", "repository", "number")]
    found = table.take_row_ids(np.unique(ids).tolist()).select(columns).with_row_id().to_arrow()
    rows = dict(zip(found["_rowid"].to_pylist(), found.to_pylist(), strict=True))
    return [rows[number] for number in ids.tolist()]


def _joined(rows: Sequence[dict[str, Any]]) -> PairBatch:
    queries, passages = ([one for row in rows for one in row[name]] for name in ("queries", "passages"))
    body = np.array([one for row in rows for one in row["rows"]], np.int64)
    return PairBatch(_bags(queries), _bags(passages), body)


def _group(row: dict[str, Any]) -> Group:
    queries = None if row["queries"] is None else _bags(row["queries"])
    words = None if row["words"] is None else np.array(row["words"], np.int64)
    return Group(_bags(row["passages"]), Ragged.of(row["tokens"]), np.array(row["rows"], np.int64), queries, words)


def _bags(texts: Sequence[Sequence[int]]) -> Bags:
    return Bags.of([np.array(text, np.uint16) for text in texts])
