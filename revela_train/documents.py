"""What one repository offers to train on: its chunks, what people said of them, and which of them belong together.

    folder + history → Material: pieces for contrastive pairs, links between tests and what they test, and a library of
                       documents for Revela's groups

Words come from two places: doc comments, and, for code that has none, the message of the commit that wrote it. Nothing
needs either; a repository without a word of prose still has names, bodies and neighbours. Lines that repeat from file
to file (licence headers, imports) are left out: whoever learns from them learns to tell boilerplate from boilerplate.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from codesearch import git
from codesearch.errors import GitError
from codesearch.roles import Role, roles, telling_name
from codesearch.settings import Settings
from codesearch.text import identifiers, split, words
from codesearch.types import Chunk, Kind
from revela_train.corpus import Pieces, Ragged, chunks_of, digest, pieces_of, record
from revela_train.groups import Library

COMMITS: Final = 1000
"""Commits whose messages are read, newest first."""
PATIENCE: Final = 10.0
"""Seconds that git may take over them; a repository so large does without."""
_MOST_CHANGED: Final = 8
"""Chunks that one commit may have written for its message to say something of each."""
_WRITTEN: Final = 0.3
"""Share of a chunk's lines that a commit must have written."""
_REPEATED: Final = 0.1
"""Share of the files from which on a line that stands in them is boilerplate; four files at least."""
_TELLING: Final = 5
"""Letters of a name that means something in itself."""
_COMMON: Final = 100
"""Documents that may share a piece for it to make them alike."""
_NEAR: Final = 8
"""Documents kept as like another."""

_IMPORT: Final = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s+[\w\\:{]|using\s+[\w.]+|require|package\s|namespace\s"
    r"|(?:const|let|var|local)\s+[\w{}, ]+=\s*require\b|alias\s+[A-Z]|@?import\s)"
)
"""Begins a line that names other files; what it names is what the file belongs to."""
_TRAILER: Final = re.compile(r"(?:[A-Z][\w-]+-by|Change-Id|Closes|Fixes|Refs|Bug|Reviewed)\b.*[:#]|Merge |git-svn-id")
"""Begins a line of a commit message that says nothing of the code."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a person said when they wrote some lines."""

    message: str
    """Subject and first paragraph, without trailers."""
    added: Mapping[str, frozenset[str]]
    """Lines written, stripped, by the path that the file had then, relative to the root."""


@dataclass(frozen=True, slots=True)
class Material:
    """What one repository offers."""

    pieces: Pieces
    """A row a chunk; `doc` is its doc comment, or the message of the commit that wrote it."""
    links: NDArray[np.int64]
    """(M, 2), rows of a test and of what it tests."""
    library: Library | None
    """Documents for Revela's groups; None where no LM was asked for."""
    documented: int
    """Chunks with a doc comment."""
    committed: int
    """Chunks with a commit message instead."""


def material(
    root: Path,
    tokenizer: Tokenizer,
    lm_tokenizer: Tokenizer | None,
    settings: Settings,
    commits: Iterable[Commit] = (),
) -> Material:
    """Return what the folder ROOT and COMMITS offer, in the pieces of TOKENIZER and the tokens of LM_TOKENIZER."""
    files = [chunks for chunks in chunks_of(root, settings) if chunks]
    boilerplate = _boilerplate(files)
    kept: list[Chunk] = []
    for chunks in files:
        kept += (replace(chunk, text=_without(chunk.text, boilerplate)) for chunk in chunks)
    records = [record(chunk) for chunk in kept]
    seen: set[bytes] = set()
    rows = []
    for i, one in enumerate(records):
        if one.body.count(" ") >= 4 and (key := digest(one.body)) not in seen:
            seen.add(key)
            rows.append(i)
    chunks, records = [kept[i] for i in rows], [records[i] for i in rows]
    documented = sum(bool(one.doc) for one in records)
    said = _said(chunks, commits)
    records = [one if one.doc or row not in said else replace(one, doc=said[row]) for row, one in enumerate(records)]
    pieces = pieces_of([(root.name, one) for one in records], tokenizer)
    shelf = None
    if lm_tokenizer is not None:
        tokens = pieces_of([(root.name, one) for one in records], lm_tokenizer)
        shelf = _library(chunks, pieces, tokens, _kin(files))
    committed = sum(bool(one.doc) for one in records) - documented
    return Material(pieces, _links(chunks), shelf, documented, committed)


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
    """Return, by row of CHUNKS, the words of the newest of COMMITS that wrote a good part of it, and little else."""
    of_file: dict[str, list[tuple[int, frozenset[str]]]] = defaultdict(list)
    for row, chunk in enumerate(chunks):
        lines = frozenset(filter(words, map(str.strip, chunk.text.splitlines())))
        if chunk.kind is not Kind.SECTION and lines:
            of_file[chunk.path].append((row, lines))
    found: dict[int, str] = {}
    for commit in commits:
        written = [
            row
            for path, added in commit.added.items()
            for row, lines in of_file.get(path, ())
            if len(lines & added) >= max(2, _WRITTEN * len(lines))
        ]
        if len(written) <= _MOST_CHANGED:
            message = " ".join(words(commit.message))
            for row in written:
                found.setdefault(row, message)
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
    of_pieces: list[NDArray[np.uint16]] = []
    of_tokens: list[NDArray[np.uint16]] = []
    cluster: list[int] = []
    for row, chunk in enumerate(chunks):
        file = number.setdefault(chunk.path, len(number))
        for name in ("doc", "body"):
            if len(its_tokens := getattr(tokens, name)[row]):
                of_pieces.append(getattr(pieces, name)[row])
                of_tokens.append(its_tokens)
                cluster.append(file)
    related = {number[p]: sorted(number[q] for q in others if q in number) for p, others in kin.items() if p in number}
    clusters = np.array(cluster, np.int64)
    shelf = Ragged.of(of_pieces)
    near = _alike(shelf, clusters)
    return Library(shelf, Ragged.of(of_tokens), clusters, np.zeros(len(clusters), np.int64), related, near)


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


def history(root: Path, *, limit: int = COMMITS, patience: float = PATIENCE) -> list[Commit]:
    """Return what the newest LIMIT commits below ROOT wrote; nothing where there is no history, or git is too slow."""
    top = git.top_of(root)
    if top is None:
        return []
    deadline = time.monotonic() + patience
    form = ("--no-merges", "--relative", "--no-renames", "-p", "-U0", "--diff-filter=AM", "--format=%x00%B%x00")
    found: list[Commit] = []
    step = 100
    # In strides: where time runs out, what there is counts.
    for skip in range(0, limit, step):
        left = deadline - time.monotonic()
        try:
            out = git.run(root, "log", f"--skip={skip}", f"-n{step}", *form, "--", ".", timeout=max(left, 0.1))
        except GitError:
            break
        found += _commits(out.decode("utf-8", "replace"))
        if out.count(b"\0") < 2 * step:
            break
    return found


def _commits(out: str) -> Iterator[Commit]:
    """Yield the commits of what `git log` printed."""
    parts = out.split("\0")
    for message, diff in zip(parts[1::2], parts[2::2], strict=False):
        lines = [line for line in message.strip().split("\n\n")[0].splitlines() if not _TRAILER.match(line)]
        body = message.strip().split("\n\n")[1:2]
        if body and not _TRAILER.match(body[0]) and len(words(body[0])) <= 60:
            lines += body
        told = " ".join(" ".join(lines).split())
        if len(words(told)) < 3:
            continue
        added: dict[str, set[str]] = {}
        current: set[str] = set()
        for line in diff.splitlines():
            if line.startswith("+++ b/"):
                current = added.setdefault(line[6:], set())
            elif line.startswith("+") and not line.startswith("+++"):
                current.add(line[1:].strip())
        if added:
            yield Commit(told, {path: frozenset(lines) for path, lines in added.items()})
