"""What one repository offers to train on: its chunks, what people said of them, and which of them belong together.

    chunks + commits → Material: pieces for contrastive pairs, links between tests and what they test, and a library of
                       documents for Revela's groups

Words come from two places: doc comments, and, for code that has none, the message of the commit that wrote it. Nothing
needs either; a repository without a word of prose still has names, bodies and neighbours. Lines that repeat from file
to file (licence headers, imports) are left out: whoever learns from them learns to tell boilerplate from boilerplate.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from codesearch.eval.commits import Commit, written
from codesearch.roles import Role, roles, telling_name
from codesearch.text import heading, identifiers, split, words
from codesearch.types import Chunk, Kind
from revela_train.corpus import Pieces, Ragged, digest, first_paragraph, pieces_of, record, without_doc
from revela_train.groups import Library, library

_REPEATED: Final = 0.1
"""Share of the files from which on a line that stands in them is boilerplate; four files at least."""
_TELLING: Final = 5
"""Letters of a name that means something in itself."""
_COMMON: Final = 100
"""Documents that may share a piece for it to make them alike."""
_NEAR: Final = 8
"""Documents kept as like another."""

_IMPORT: Final = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s+[\w\\:{]|using\s+[\w.]+|require(?:_once|_relative)?\b|package\s|namespace\s"
    r"|(?:const|let|var|local)\s+[\w{}, ]+=\s*require\b|alias\s+[A-Z]|@?import\s)"
)
"""Begins a line that names other files; what it names is what the file belongs to."""


@dataclass(frozen=True, slots=True)
class Texts:
    """N chunks as they stand, for a retriever that reads text."""

    doc: tuple[str, ...]
    """First paragraph of the doc comment, or the message of the commit that wrote it; empty where there is neither."""
    body: tuple[str, ...]
    """The source without its doc comment, imports and boilerplate."""
    heading: tuple[str, ...]
    """Path and qualified name."""


@dataclass(frozen=True, slots=True)
class Material:
    """What one repository offers."""

    pieces: Pieces
    """A row a chunk; `doc` is its doc comment, or the message of the commit that wrote it."""
    texts: Texts
    """The same rows as text."""
    links: NDArray[np.int64]
    """(M, 2), rows of a test and of what it tests."""
    library: Library | None
    """Documents for Revela's groups; None where no LM was asked for."""
    documented: int
    """Chunks with a doc comment."""
    committed: int
    """Chunks with a commit message instead."""


def material(
    chunks: Iterable[Chunk], tokenizer: Tokenizer, lm_tokenizer: Tokenizer | None, commits: Iterable[Commit] = ()
) -> Material:
    """Return what CHUNKS, file after file, and COMMITS offer, in pieces of TOKENIZER and tokens of LM_TOKENIZER."""
    files = [list(its) for _, its in groupby(chunks, key=lambda one: one.path)]
    boilerplate = _boilerplate(files)
    kept: list[Chunk] = []
    for its in files:
        kept += (replace(one, text=_without(one.text, boilerplate)) for one in its)
    records = [record(chunk) for chunk in kept]
    seen: set[bytes] = set()
    rows = []
    for i, one in enumerate(records):
        if one.body.count(" ") >= 4 and (key := digest(one.body)) not in seen:
            seen.add(key)
            rows.append(i)
    kept, records = [kept[i] for i in rows], [records[i] for i in rows]
    documented = sum(bool(one.doc) for one in records)
    said = _said(kept, commits)
    doc = [first_paragraph(kept[i].doc) if one.doc else said.get(i, "") for i, one in enumerate(records)]
    records = [replace(one, doc=" ".join(words(told))) for one, told in zip(records, doc, strict=True)]
    texts = Texts(tuple(doc), tuple(map(without_doc, kept)), tuple(map(heading, kept)))
    pieces = pieces_of([("", one) for one in records], tokenizer)
    shelf = None
    if lm_tokenizer is not None:
        tokens = pieces_of([("", one) for one in records], lm_tokenizer)
        shelf = _library(kept, pieces, tokens, _kin(files))
    committed = sum(bool(one.doc) for one in records) - documented
    return Material(pieces, texts, _links(kept), shelf, documented, committed)


def _boilerplate(files: Sequence[Sequence[Chunk]]) -> frozenset[str]:
    """Return the lines, stripped, that stand in so many FILES that they tell nothing."""
    counts: Counter[str] = Counter()
    for chunks in files:
        counts.update({line.strip() for chunk in chunks for line in chunk.text.splitlines()})
    most = max(4, _REPEATED * len(files))
    return frozenset(line for line, n in counts.items() if n >= most and len(words(line)) > 2)


def _without(text: str, boilerplate: frozenset[str]) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip() not in boilerplate and not _IMPORT.match(line))


def _said(chunks: Sequence[Chunk], commits: Iterable[Commit]) -> dict[int, str]:
    """Return, by row of CHUNKS, the message of the newest of COMMITS that wrote a good part of it, and little else."""
    found: dict[int, str] = {}
    for commit, rows in written(chunks, commits):
        for row in rows:
            found.setdefault(row, commit.message)
    return found


def _links(chunks: Sequence[Chunk]) -> NDArray[np.int64]:
    """Return (M, 2) rows of CHUNKS: a test, and the one definition outside tests that it is named after."""
    named: dict[str, list[int]] = defaultdict(list)
    tests: list[int] = []
    for row, chunk in enumerate(chunks):
        if chunk.kind is Kind.SECTION or not chunk.symbol:
            continue
        if Role.TEST in roles(chunk.path):
            tests.append(row)
        elif not chunk.part:
            name = "".join(split(chunk.symbol.rpartition(".")[2]))
            if len(name) >= _TELLING:
                named[name].append(row)
    once = {name: rows[0] for name, rows in named.items() if len(rows) == 1}
    found = []
    for row in tests:
        parts = [part for part in words(chunks[row].symbol.rpartition(".")[2]) if part not in ("test", "should")]
        spans = {"".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)}
        if told := sorted(spans & once.keys(), key=len):
            found.append((row, once[told[-1]]))
    return np.array(found, np.int64).reshape(-1, 2)


def _kin(files: Sequence[Sequence[Chunk]]) -> dict[str, set[str]]:
    """Return the paths that belong to each path: what it imports, tests or, as Markdown, speaks of; and back."""
    named: dict[str, list[str]] = defaultdict(list)
    for chunks in files:
        path = chunks[0].path
        if not roles(path) & {Role.TEST, Role.DOCUMENTATION}:
            named["".join(split(telling_name(path)))].append(path)
    once = {name: paths[0] for name, paths in named.items() if len(paths) == 1 and len(name) >= _TELLING}
    kin: dict[str, set[str]] = defaultdict(set)
    for chunks in files:
        path = chunks[0].path
        said = words(telling_name(path)) if Role.TEST in roles(path) else []
        told = {"".join(said[i:j]) for i in range(len(said)) for j in range(i + 1, len(said) + 1)}
        section = chunks[0].kind is Kind.SECTION
        for chunk in chunks:
            for line in chunk.text.splitlines():
                if section or _IMPORT.match(line):
                    told.update("".join(split(one)) for one in identifiers(line))
        for other in {once[name] for name in told & once.keys()} - {path}:
            kin[path].add(other)
            kin[other].add(path)
    return kin


def _library(chunks: Sequence[Chunk], pieces: Pieces, tokens: Pieces, kin: Mapping[str, set[str]]) -> Library:
    """Return each chunk's doc and body as documents, a cluster a file."""
    number: dict[str, int] = {}
    files = np.array([number.setdefault(chunk.path, len(number)) for chunk in chunks], np.int64)
    shelf = library(pieces, tokens, np.arange(len(chunks)), files, asked=True)
    related = {number[p]: sorted(number[q] for q in others if q in number) for p, others in kin.items() if p in number}
    return replace(shelf, related=related, near=_alike(shelf.pieces, shelf.cluster))


def _alike(documents: Ragged, cluster: NDArray[np.int64]) -> dict[int, list[int]]:
    """Return the documents of other clusters that share most with each, by the weights of BM25's rare terms."""
    count = len(documents)
    rows = np.repeat(np.arange(count), np.diff(documents.offsets))
    held = np.unique(np.stack((documents.values.astype(np.int64), rows)), axis=1)
    holders = dict(_by_piece(held))
    of: list[list[int]] = [[] for _ in range(count)]
    for piece, its in holders.items():
        for row in its.tolist():
            of[row].append(piece)
    found: dict[int, list[int]] = {}
    for row, its_pieces in enumerate(of):
        if not its_pieces:
            continue
        others = np.concatenate([holders[p] for p in its_pieces])
        worth = np.concatenate([np.full(len(holders[p]), np.log(count / len(holders[p]))) for p in its_pieces])
        distinct, at = np.unique(others, return_inverse=True)
        sums = np.bincount(at, worth)
        sums[cluster[distinct] == cluster[row]] = 0
        best = np.argsort(-sums, kind="stable")[:_NEAR]
        found[row] = distinct[best[sums[best] > 0]].tolist()
    return found


def _by_piece(held: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each piece that few, but more than one, document holds, with those that do."""
    pieces, starts = np.unique(held[0], return_index=True)
    for piece, rows in zip(pieces.tolist(), np.split(held[1], starts[1:]), strict=True):
        if 1 < len(rows) <= _COMMON:
            yield piece, rows
