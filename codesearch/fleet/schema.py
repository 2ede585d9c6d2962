"""The store of a fleet: three Lance tables at one URI, and what a row of each is.

    chunks.lance    a row a chunk, as in the index of a folder, with its repository and source; and the ledger
    terms.lance     how many chunks and files of a repository hold a term: the statistics that rank
    model.lance     the files of the bundle whose vectors these are

A commit of `chunks` is what makes anything true. Beside chunks it has a row for each repository that is in, which says
as of which commit: its *entry* in the ledger, written with the chunks and so never without them. And it has one row,
the *cursor*, that names the version of `terms` which belongs to it. Each commit replaces the cursor, so of two drivers
that write at a time Lance refuses one, which looks again at what is in.

A store is of one model and one set of rules (`Identity`); another model is indexed into another store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import pyarrow as pa

from codesearch.errors import IndexFormatError
from codesearch.prepare import RULES

CHUNKS: Final = "chunks"
TERMS: Final = "terms"
MODEL: Final = "model"

FORMAT: Final = 1
"""1. As above."""

ENTRY: Final = "repository"
"""The kind of a row that is a repository's entry in the ledger."""
CURSOR: Final = "cursor"
"""The kind of the one row that names the version of `terms`."""

IS_CHUNK: Final = f"kind NOT IN ('{ENTRY}', '{CURSOR}')"
"""What is true of all other rows, which have vectors."""

_IDENTITY: Final = b"codesearch"


def chunks(dimensions: int) -> pa.Schema:
    """Return the columns of `chunks`; a vector holds the whole numbers of `codesearch.store.packed`, exactly.

    They are float16 because Lance builds no index over bytes.
    """
    from codesearch.store import PACKED  # with lancedb, which Ray's processes must not inherit

    return pa.schema(
        [
            pa.field("repository", pa.string()),
            pa.field("owner", pa.string()),
            pa.field("visibility", pa.string()),
            pa.field("commit", pa.string()),
            pa.field("digest", pa.binary(16)),
            pa.field("copy", pa.uint16()),
            pa.field("path", pa.string()),
            pa.field("language", pa.string()),
            pa.field("kind", pa.string()),
            pa.field("symbol", pa.string()),
            pa.field("start_line", pa.uint32()),
            pa.field("end_line", pa.uint32()),
            pa.field("part", pa.uint16()),
            pa.field("terms", pa.string(), metadata=PACKED),
            pa.field("name", pa.string()),
            pa.field("file", pa.string()),
            pa.field("test", pa.bool_()),
            pa.field("text", pa.string(), metadata=PACKED),
            pa.field("vector", pa.list_(pa.float16(), dimensions)),
            pa.field("entry", pa.string()),
            pa.field("foreign", pa.list_(pa.float32())),
        ]
    )


def lines_of(chunks: Iterable[tuple[int, str | None]]) -> list[str]:
    """Return the lines of the file whose CHUNKS have these first lines and texts.

    Chunks of a file joined are the file; each has its lines whole, so two may have one in common.
    """
    lines = {number: line for first, text in chunks for number, line in enumerate((text or "").split("\n"), first)}
    return [lines.get(number, "") for number in range(1, max(lines, default=0) + 1)]


def terms() -> pa.Schema:
    """Return the columns of `terms`."""
    return pa.schema(
        [
            pa.field("repository", pa.string()),
            pa.field("term", pa.string()),
            pa.field("chunks", pa.uint32()),
            pa.field("files", pa.uint32()),
        ]
    )


def model() -> pa.Schema:
    """Return the columns of `model`."""
    return pa.schema([pa.field("name", pa.string()), pa.field("content", pa.large_binary())])


@dataclass(frozen=True, slots=True)
class Identity:
    """What all rows of a store have in common."""

    model: str
    """Fingerprint of the bundle."""
    dimensions: int
    rules: str = RULES
    format: int = FORMAT

    def on(self, schema: pa.Schema) -> pa.Schema:
        """Return SCHEMA with this written on it."""
        return schema.with_metadata({_IDENTITY: json.dumps(asdict(self)).encode()})

    @classmethod
    def of(cls, schema: pa.Schema, uri: str) -> Self:
        """Return what is written on SCHEMA, of the store at URI, or raise IndexFormatError."""
        try:
            said: dict[str, Any] = json.loads((schema.metadata or {})[_IDENTITY])
            if said["format"] > FORMAT:
                raise IndexFormatError(f"{uri} was written by a newer codesearch. Upgrade codesearch.")
            return cls(**said)
        except (KeyError, ValueError, TypeError) as error:
            raise IndexFormatError(
                f"{uri} is no store of codesearch's. Give the URI that `fleet index` was given."
            ) from error


@dataclass(frozen=True, slots=True)
class Entry:
    """One repository in the ledger: what of it is in the store, as of which commit."""

    repository: str
    owner: str
    visibility: str
    commit: str
    files: int
    """Files that have chunks."""
    chunks: int
    size: int
    """Of all chunks, in bytes of their terms."""
    skipped: int
    """Files that were listed and could not be indexed."""

    @classmethod
    def read(cls, row: dict[str, Any]) -> Self:
        """Return the entry that a ROW of `chunks` is."""
        named = {name: row[name] for name in ("repository", "owner", "visibility", "commit")}
        return cls(**named, **json.loads(row["entry"]))

    def row(self) -> dict[str, Any]:
        """Return the row of `chunks` that this is, without the measure of foreign questions."""
        said = {name: getattr(self, name) for name in ("files", "chunks", "size", "skipped")}
        named = {name: getattr(self, name) for name in ("repository", "owner", "visibility", "commit")}
        return {**named, "kind": ENTRY, "entry": json.dumps(said)}
