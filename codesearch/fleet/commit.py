"""What workers built becomes true: one commit of Lance a batch, in the one process that drives. Imports pylance.

A commit takes a repository's old rows away and puts the new ones in, with its entry in the ledger, for all of a batch
at once: readers see all of it or nothing. Lance has that as one operation (`Update`): fragments that go, fragments of
which rows are marked as deleted, and fragments that come.

The statistics are committed before the chunks, and the cursor, in the same commit as the chunks, names their version.
A driver that dies between the two, or comes second with its chunks, leaves a version of `terms` that nothing names. So
a commit to `terms` starts from what the cursor names, brought back as the latest, and counts only if nobody came in
between: Lance would merge it with another driver's, and that may be of the same repositories.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import lance
import pyarrow as pa
from lance import LanceDataset, LanceOperation
from lance.commit import CommitConflictError
from lance.fragment import FragmentMetadata, write_fragments

from codesearch.errors import IndexBusyError, UsageError
from codesearch.fleet import schema
from codesearch.fleet.schema import CHUNKS, CURSOR, ENTRY, MODEL, TERMS, Entry, Identity

if TYPE_CHECKING:
    from codesearch.bundle import Bundle
    from codesearch.fleet.build import Built

_TRIES: Final = 20
"""Commits of other drivers that may come before one of ours gets through."""
_ASKED: Final = 1000
"""Repositories named in one filter."""
_ABSENT: Final = "not found"
_CONFLICTS: Final = "commit conflict", "incompatible transaction"
"""What Lance says where another commit was first; of the calls that tidy, only some have an exception for it."""
KEPT: Final = timedelta(days=7)
"""How long what no version names stays: no worker takes so long between writing a fragment and its commit."""


class Writer:
    """The store of a fleet, open for writing."""

    def __init__(self, uri: str, identity: Identity) -> None:
        """Use `open`."""
        self.uri = uri
        self.identity = identity

    @classmethod
    def open(cls, uri: str, bundle: Bundle) -> Self:
        """Open the store at URI, or make one, for vectors of BUNDLE.

        Raises:
            UsageError: it has vectors of another model, or was made by other rules.
            IndexFormatError: what is there is something else.
        """
        wanted = Identity(bundle.fingerprint, bundle.description.dimensions)
        chunks = _table(
            uri, CHUNKS, lambda: pa.Table.from_pylist([_cursor(1)], wanted.on(schema.chunks(wanted.dimensions)))
        )
        identity = Identity.of(chunks.schema, uri)
        if identity != wanted:
            raise UsageError(
                f"{uri} has vectors of another model, or was made by other rules than this codesearch's. "
                "Index into a new store, and ask the old one until it is done."
            )
        # Chunks come first: of drivers that make a store at a time, they tell whose model it has.
        _table(uri, TERMS, schema.terms().empty_table)
        _table(uri, MODEL, lambda: _files(bundle))
        return cls(uri, identity)

    def entries(self, repositories: Collection[str] | None = None) -> dict[str, Entry]:
        """Return what is in the store: of REPOSITORIES, or all."""
        return _entries(self.dataset(CHUNKS), repositories)

    def commit(self, built: Sequence[Built]) -> list[Entry]:
        """Make what was BUILT true, in one commit; return the entries that are new, for another driver may be as far.

        Raises:
            IndexBusyError: other drivers are too fast.
        """
        for _ in range(_TRIES):
            chunks = self.dataset(CHUNKS)
            before = _entries(chunks, [one.entry.repository for one in built])
            new = [one for one in built if before.get(one.entry.repository) != one.entry]
            if not new:
                return []
            if self._changed(chunks, before.keys() & {one.entry.repository for one in new}, new):
                return [one.entry for one in new]
        raise self._busy()

    def remove(self, repositories: Collection[str]) -> None:
        """Take REPOSITORIES out of the store, in one commit."""
        for _ in range(_TRIES):
            if self._changed(self.dataset(CHUNKS), repositories, ()):
                return
        raise self._busy()

    def settle(self) -> None:
        """Let the latest version of `terms` be what the cursor names."""
        self._terms_of(self.dataset(CHUNKS))

    def name_terms(self) -> None:
        """Let the cursor name the version of `terms` that is the latest now, after it was tidied.

        Raises:
            CommitConflictError: there are statistics in it whose chunks have not come, and maybe never do.
            IndexBusyError: other drivers are too fast.
        """
        for _ in range(_TRIES):
            chunks, terms = self.dataset(CHUNKS), self.dataset(TERMS)
            named = _named_by(chunks)
            if terms.version == named:
                return
            if not _tidied(terms, named):
                raise CommitConflictError("another driver has committed to the statistics meanwhile")
            try:
                _name(chunks, terms, [], [], [])
            except CommitConflictError:
                continue
            return
        raise self._busy()

    def _changed(self, chunks: LanceDataset, gone: Collection[str], new: Sequence[Built]) -> bool:
        """Commit to CHUNKS that the repositories GONE are, and what is NEW there; tell if nobody came before."""
        replaced = _by_names({*gone, *(one.entry.repository for one in new)})
        try:
            before = self._terms_of(chunks)
            terms = _replaced(before, replaced, _fragments(f for one in new for f in one.terms))
            if terms.version > before.version + 1:
                return False
            rows = [one.entry.row() | {"foreign": one.foreign or None} for one in new]
            _name(chunks, terms, _by_names(gone), rows, _fragments(f for one in new for f in one.chunks))
        except CommitConflictError:
            return False
        return True

    def _terms_of(self, chunks: LanceDataset) -> LanceDataset:
        """Return `terms` as the cursor of CHUNKS names them, which are the latest then."""
        named = _named_by(chunks)
        terms = self.dataset(TERMS)
        if terms.version != named:
            terms = lance.dataset(terms.uri, version=named)
            terms.restore()
        return terms

    def _busy(self) -> IndexBusyError:
        return IndexBusyError(f"{self.uri} is being written by others all the time. Run the same command again.")

    def dataset(self, table: str) -> LanceDataset:
        """Return the latest version of TABLE."""
        return lance.dataset(f"{self.uri}/{table}.lance")


def conflicting(error: Exception) -> bool:
    """Tell whether ERROR is that another commit was first."""
    return isinstance(error, CommitConflictError) or any(said in str(error).lower() for said in _CONFLICTS)


def _there(uri: str) -> LanceDataset | None:
    try:
        return lance.dataset(uri)
    except ValueError as error:
        if _ABSENT not in str(error).lower():
            raise
        return None


def _table(uri: str, table: str, rows: Callable[[], pa.Table]) -> LanceDataset:
    """Return TABLE of the store at URI; where it is not there, as its version 1, with ROWS."""
    place = f"{uri}/{table}.lance"
    if (there := _there(place)) is not None:
        return there
    try:
        return lance.write_dataset(rows(), place, mode="create", enable_v2_manifest_paths=True)
    except OSError:
        if (there := _there(place)) is None:  # otherwise another driver was first
            raise
        return there


def _files(bundle: Bundle) -> pa.Table:
    """Return the files of BUNDLE, as rows of `model`."""
    files = [bundle.folder / name for name in ("bundle.json", *bundle.description.files)]
    return pa.table([[file.name for file in files], [file.read_bytes() for file in files]], schema.model())


def _name(
    chunks: LanceDataset,
    terms: LanceDataset,
    gone: Sequence[str],
    rows: Sequence[dict[str, Any]],
    new: Sequence[FragmentMetadata],
) -> None:
    """Commit to CHUNKS that what fits GONE is, ROWS and the fragments NEW there, and a cursor that names TERMS."""
    table = pa.Table.from_pylist([*rows, _cursor(terms.version)], chunks.schema)
    _replaced(chunks, [f"kind = '{CURSOR}'", *gone], [*new, *write_fragments(table, chunks.uri)])


def _named_by(chunks: LanceDataset) -> int:
    """Return the version of `terms` that the cursor of CHUNKS names."""
    found = chunks.to_table(["entry"], filter=f"kind = '{CURSOR}'")["entry"]
    return int(json.loads(found[0].as_py())["terms"])


def _tidied(terms: LanceDataset, named: int) -> bool:
    """Tell whether TERMS has the rows of its version NAMED, and only how they are kept has changed since."""
    for transaction in terms.get_transactions(terms.version - named):
        match transaction and transaction.operation:
            case LanceOperation.Restore(version):
                return bool(version == named)
            case LanceOperation.Rewrite() | LanceOperation.CreateIndex():
                continue
            case other if type(other) is LanceOperation.BaseOperation:  # numbers for fragments to come
                continue
            case _:
                return False
    return True


def _cursor(terms: int) -> dict[str, Any]:
    return {"kind": CURSOR, "entry": json.dumps({"terms": terms})}


def _entries(chunks: LanceDataset, repositories: Collection[str] | None) -> dict[str, Entry]:
    columns = ["repository", "owner", "visibility", "commit", "entry"]
    where = [f"kind = '{ENTRY}'"]
    if repositories is not None:
        where = [f"kind = '{ENTRY}' AND {names}" for names in _by_names(repositories)]
    rows = (row for one in where for row in chunks.to_table(columns, filter=one).to_pylist())
    return {entry.repository: entry for entry in map(Entry.read, rows)}


def _fragments(written: Iterable[str]) -> list[FragmentMetadata]:
    return [FragmentMetadata.from_json(one) for one in written]


def _named(names: Collection[str]) -> str:
    # Names hold no quotes: `sources` sees to it.
    return "repository IN (" + ", ".join(f"'{name}'" for name in sorted(names)) + ")"


def _by_names(names: Collection[str]) -> list[str]:
    every = sorted(names)
    return [_named(every[at : at + _ASKED]) for at in range(0, len(every), _ASKED)]


def _replaced(dataset: LanceDataset, gone: Sequence[str], new: list[FragmentMetadata]) -> LanceDataset:
    """Commit to DATASET, as it was opened, that rows which fit any filter of GONE are, and the fragments NEW there."""
    removed: list[int] = []
    updated: list[FragmentMetadata] = []
    if gone:
        where = " OR ".join(f"({one})" for one in gone)
        found = dataset.scanner(columns=[], filter=where, with_row_address=True).to_table()["_rowaddr"]
        for number in sorted({address >> 32 for address in found.to_pylist()}):
            fragment = dataset.get_fragment(number)
            assert fragment is not None, "a row has been found in it"
            left = fragment.delete(where)
            if left is None:
                removed.append(number)
            else:
                updated.append(left)
    if not (removed or updated or new):
        return dataset
    operation = LanceOperation.Update(removed_fragment_ids=removed, updated_fragments=updated, new_fragments=new)
    return LanceDataset.commit(dataset, operation, read_version=dataset.version)
