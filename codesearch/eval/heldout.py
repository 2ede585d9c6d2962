"""How well a retriever finds held-out functions: by itself, and through the ranking that users get.

    root ─ hold_out ─▶ copy without the documentation of held-out functions ─ index ─ ask ─▶ reciprocal ranks

What is asked is the sentence that a function's documentation opened with, and the subjects of commits. It is asked of
an index of the copy, built by the same code as any; and the copy, with the commits that say nothing that is asked, is
also all that a trainer sees: neither knows the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

import numpy as np

from codesearch.bundle import Bundle
from codesearch.chunk import chunk, decode
from codesearch.eval.commits import Commit, history, written
from codesearch.eval.docstrings import Documented, by_lot, first_sentence, readable, strip
from codesearch.eval.proof import FEWEST, Part, Verdict, judge, part_of
from codesearch.question import Question
from codesearch.search import Mode, Snapshot, search
from codesearch.settings import Settings
from codesearch.text import words
from codesearch.types import Chunk, Span
from codesearch.workspace import Workspace

if TYPE_CHECKING:
    from codesearch.store import Mirror

DOCUMENTED: Final = {Part.DEVELOPMENT: 150, Part.TEST: 300}
"""Functions of each part whose documentation is taken away: enough for an interval, and most of it stays to learn
from."""
COMMITTED: Final = {Part.DEVELOPMENT: 75, Part.TEST: 150}
"""Commit messages of each part that are asked, and not learnt from."""
DEPTH: Final = 100
"""Rows that are looked at; what comes later counts as not found."""

_ABOUT: Final = 4
"""Chunks that a commit may have written for its message to be a question: of more, most are not what it means."""

BM25: Final = "BM25"
RANKED: Final = "ranked"
ALONE: Final = "alone"
SAME: Final = "ranked as adapted"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question whose answer is known: what somebody wrote about some lines of code."""

    sentence: str
    places: tuple[tuple[str, Span], ...]
    """Path and lines, in the copy, of each chunk that is right."""
    origin: str
    """`documentation` or `commit`."""

    @property
    def told(self) -> str:
        """The words of the sentence, between blanks."""
        return f" {' '.join(words(self.sentence))} "

    def answered_by(self, path: str, span: Span) -> bool:
        """Tell whether lines of SPAN of the file at PATH are right."""
        return any(
            path == where and span.start_line <= lines.end_line and lines.start_line <= span.end_line
            for where, lines in self.places
        )


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A copy of a repository that lacks what is asked of it."""

    folder: Path
    chunks: tuple[Chunk, ...]
    """Of the copy, file after file."""
    development: tuple[Asked, ...]
    test: tuple[Asked, ...]
    commits: tuple[Commit, ...] = ()
    """Those whose messages say nothing that is asked."""


def hold_out(root: Path, copy: Path, settings: Settings) -> HeldOut:
    """Write a COPY of what is indexed of ROOT without the documentation that development and test ask about."""

    def chosen(candidates: list[Documented]) -> list[Documented]:
        parts: dict[Part, list[Documented]] = {part: [] for part in Part}
        for one in by_lot(candidates):
            parts[_part(one)].append(one)
        return [one for part, most in DOCUMENTED.items() for one in parts[part][:most]]

    stripped = strip(root, copy, chosen, settings)
    asked: dict[Part, list[Asked]] = {part: [] for part in DOCUMENTED}
    for one, spans in stripped.asked:
        places = tuple((one.path, span) for span in spans)
        asked[_part(one)].append(Asked(one.sentence, places, "documentation"))
    chunks = cut(copy, _all_of_it(settings))
    commits = history(root)
    for question in _of_commits(chunks, commits):
        its = asked.get(part_of("", "", question.sentence), [])
        if sum(other.origin == "commit" for other in its) < COMMITTED.get(part_of("", "", question.sentence), 0):
            its.append(question)
    development, test = (tuple(asked[part]) for part in (Part.DEVELOPMENT, Part.TEST))
    return HeldOut(copy, chunks, development, test, tuple(unheard(commits, (*development, *test))))


def _all_of_it(settings: Settings) -> Settings:
    """Return SETTINGS for a copy: all of it was chosen by the rules of its root, and no others count.

    Least of all those of where it stands, such as an index folder, which ignores everything.
    """
    return replace(settings, hidden=True, no_ignore=True)


def _part(one: Documented) -> Part:
    return part_of(one.path, one.key.symbol, one.sentence)


def cut(folder: Path, settings: Settings) -> tuple[Chunk, ...]:
    """Return the chunks of what is indexed of FOLDER, file after file."""
    return tuple(one for entry, data in readable(folder, settings) for one in chunk(entry.path, decode(data)))


def _of_commits(chunks: Sequence[Chunk], commits: Sequence[Commit]) -> Iterator[Asked]:
    """Yield the messages that are a sentence, said once and nowhere in CHUNKS, with the code that they are about."""
    left = "\n".join(f" {' '.join(words(one.text))} " for one in chunks) if commits else ""
    times = Counter(commit.subject for commit in commits)
    for commit, rows in written(chunks, commits):
        sentence = first_sentence(commit.subject, "")
        if sentence is None or times[commit.subject] > 1 or len(rows) > _ABOUT:
            continue
        question = Asked(sentence, tuple((chunks[row].path, chunks[row].span) for row in rows), "commit")
        if question.told not in left:
            yield question


def unheard(commits: Iterable[Commit], asked: Sequence[Asked]) -> Iterator[Commit]:
    """Yield those of COMMITS whose messages say nothing that is ASKED."""
    held = [one.told for one in asked]
    for commit in commits:
        said = f" {' '.join(words(commit.message))} "
        if not any(told in said or said in told for told in held):
            yield commit


@dataclass(frozen=True, slots=True)
class Ranks:
    """Reciprocal ranks of the same questions by one retriever, 0 where nothing right is among DEPTH rows."""

    bm25: tuple[float, ...]
    """By LanceDB's full-text search, without any retriever."""
    alone: tuple[float, ...]
    """By nearness of vectors."""
    ranked: tuple[float, ...]
    """As users get them."""
    as_adapted: tuple[float, ...]
    """Ranked by the weights of an adapted retriever, which find more functions with any vectors."""

    @property
    def best(self) -> tuple[float, ...]:
        """What is ranked, by whichever weights find more."""
        return max(self.ranked, self.as_adapted, key=lambda found: fmean(found) if found else 0.0)


def ranks(held: HeldOut, asked: Sequence[Asked], bundle: Bundle, folder: Path, settings: Settings) -> Ranks:
    """Return how BUNDLE does on ASKED; the copy's index is built in FOLDER."""
    with ExitStack() as stack:
        settings = replace(_all_of_it(settings), index_dir=folder)
        workspace = stack.enter_context(Workspace.open(held.folder, settings, model=bundle))
        for _ in workspace.index():
            pass
        snapshot = workspace.snapshot()
        found = [_ranks_of(snapshot, one) for one in asked]
    return Ranks(*(tuple(column) for column in zip(*found, strict=True))) if found else Ranks((), (), (), ())


def _ranks_of(snapshot: Snapshot, one: Asked) -> tuple[float, float, float, float]:
    mirror = snapshot.mirror
    right = _right(snapshot, one)
    row_ids, _ = snapshot.store.matching(Question(one.sentence).terms, DEPTH)
    vector = snapshot.encoder.encode([one.sentence], "query")[0]
    nearest = np.argsort(-(mirror.vectors @ vector), kind="stable")[:DEPTH]

    def ranked(*, as_adapted: bool) -> float:
        hits, _ = search(snapshot, one.sentence, DEPTH, Mode.FUSED, as_adapted=as_adapted)
        return _reciprocal(one.answered_by(hit.path, hit.span) for hit in hits)

    return (
        _reciprocal(p in right for p in mirror.positions(row_ids).tolist()),
        _reciprocal(p in right for p in nearest.tolist()),
        ranked(as_adapted=False),
        ranked(as_adapted=True),
    )


def _right(snapshot: Snapshot, one: Asked) -> frozenset[int]:
    """Return the positions of the chunks that are right."""
    mirror = snapshot.mirror
    rows = [row for path in {path for path, _ in one.places} for row in _rows(mirror, path)]
    return frozenset(row for row in rows if one.answered_by(mirror.row(row).path, mirror.row(row).span))


def _rows(mirror: Mirror, path: str) -> list[int]:
    found: list[int] = mirror.rows(mirror.paths.index(path)).tolist() if path in mirror.paths else []
    return found


def _reciprocal(right: Iterator[bool]) -> float:
    return next((1 / rank for rank, it in enumerate(right, 1) if it), 0.0)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a candidate has shown against the base, on questions that neither knew."""

    verdict: Verdict
    figures: dict[str, float]
    """Mean reciprocal ranks: BM25, and base and candidate, each alone and ranked."""


def prove(held: HeldOut, base: Bundle, candidate: Bundle | None, folder: Path, settings: Settings) -> Proof:
    """Ask the test questions of BASE and of CANDIDATE, if there is one; their indexes are built below FOLDER.

    An adapted retriever is ranked by weights of its own, as a transformer is. What weights alone would gain is no gain
    of vectors: the base is asked by an adapted one's, too, and the better of both is to be surpassed. Not by a
    transformer's, which favour the nearest chunk so much that the base would lose the right file for it (LOG.md).
    """
    if not held.test:
        return Proof(Verdict(False, f"no held-out questions, {FEWEST} are needed to prove a gain", 0), {})
    before = ranks(held, held.test, base, folder / "base", settings)
    figures = {BM25: fmean(before.bm25), f"base, {ALONE}": fmean(before.alone), f"base, {RANKED}": fmean(before.ranked)}
    if candidate is None:
        return Proof(Verdict(False, "the base itself", len(held.test)), figures)
    after = ranks(held, held.test, candidate, folder / "adapted", settings)
    figures |= {f"base, {SAME}": fmean(before.as_adapted)}
    figures |= {f"adapted, {ALONE}": fmean(after.alone), f"adapted, {RANKED}": fmean(after.ranked)}
    return Proof(judge(before.best, after.ranked), figures)
