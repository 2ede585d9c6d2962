"""How well a retriever finds held-out functions: by itself, and through the ranking that users get.

    root ─ hold_out ─▶ copy without the documentation of held-out functions ─ index ─ ask ─▶ reciprocal ranks

What is asked is the sentence that a function's documentation opened with. It is asked of an index of the copy, built by
the same code as any; and the copy is also all that a trainer sees, so that neither knows the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np

from codesearch.bundle import Bundle
from codesearch.eval.docstrings import Asked, Documented, by_lot, strip
from codesearch.eval.proof import FEWEST, Part, Verdict, judge, part_of
from codesearch.question import Question
from codesearch.search import Mode, Snapshot, search
from codesearch.settings import Settings
from codesearch.workspace import Workspace

MOST: Final = {Part.DEVELOPMENT: 150, Part.TEST: 300}
"""Functions of each part whose documentation is taken away: enough for an interval, and most of it stays to learn
from."""
DEPTH: Final = 100
"""Rows that are looked at; what comes later counts as not found."""

BM25: Final = "BM25"
RANKED: Final = "ranked"
ALONE: Final = "alone"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A copy of a repository that lacks what is asked of it."""

    folder: Path
    development: tuple[Asked, ...]
    test: tuple[Asked, ...]


def hold_out(root: Path, copy: Path, settings: Settings) -> HeldOut:
    """Write a COPY of what is indexed of ROOT without the documentation that development and test ask about."""

    def chosen(candidates: list[Documented]) -> list[Documented]:
        parts: dict[Part, list[Documented]] = {part: [] for part in Part}
        for one in by_lot(candidates):
            parts[_part(one)].append(one)
        return [one for part, most in MOST.items() for one in parts[part][:most]]

    stripped = strip(root, copy, chosen, settings)
    asked = {part: tuple(one for one in stripped.asked if _part(one.function) is part) for part in MOST}
    return HeldOut(copy, asked[Part.DEVELOPMENT], asked[Part.TEST])


def _part(one: Documented) -> Part:
    return part_of(one.path, one.key.symbol, one.sentence)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Reciprocal ranks of the same questions by one retriever, 0 where nothing right is among DEPTH rows."""

    bm25: tuple[float, ...]
    """By LanceDB's full-text search, without any retriever."""
    alone: tuple[float, ...]
    """By nearness of vectors."""
    ranked: tuple[float, ...]
    """As users get them."""


def ranks(held: HeldOut, asked: Sequence[Asked], bundle: Bundle, folder: Path, settings: Settings) -> Ranks:
    """Return how BUNDLE does on ASKED; the copy's index is built in FOLDER."""
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace.open(held.folder, replace(settings, index_dir=folder), model=bundle))
        for _ in workspace.index():
            pass
        snapshot = workspace.snapshot()
        found = [_ranks_of(snapshot, one) for one in asked]
    return Ranks(*(tuple(column) for column in zip(*found, strict=True))) if found else Ranks((), (), ())


def _ranks_of(snapshot: Snapshot, one: Asked) -> tuple[float, float, float]:
    mirror = snapshot.mirror
    right = _right(snapshot, one)
    question = Question(one.function.sentence)
    row_ids, _ = snapshot.store.matching(question.terms, DEPTH)
    vector = snapshot.encoder.encode([one.function.sentence], "query")[0]
    nearest = np.argsort(-(mirror.vectors @ vector), kind="stable")[:DEPTH]
    hits, _ = search(snapshot, one.function.sentence, DEPTH, Mode.FUSED)
    path, spans = one.function.path, one.spans
    shown = (
        hit.path == path and any(hit.span.start_line <= s.end_line and s.start_line <= hit.span.end_line for s in spans)
        for hit in hits
    )
    return (
        _reciprocal(p in right for p in mirror.positions(row_ids).tolist()),
        _reciprocal(p in right for p in nearest.tolist()),
        _reciprocal(shown),
    )


def _right(snapshot: Snapshot, one: Asked) -> frozenset[int]:
    """Return the positions of the chunks that hold lines of the function."""
    mirror = snapshot.mirror
    if one.function.path not in mirror.paths:
        return frozenset()
    rows = mirror.rows(mirror.paths.index(one.function.path))
    first, last = (np.asarray(mirror.columns[name].take(rows).to_numpy()) for name in ("start_line", "end_line"))
    held = np.zeros(len(rows), np.bool_)
    for span in one.spans:
        held |= (first <= span.end_line) & (span.start_line <= last)
    return frozenset(rows[held].tolist())


def _reciprocal(right: Iterator[bool]) -> float:
    return next((1 / rank for rank, it in enumerate(right, 1) if it), 0.0)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a candidate has shown against the base, on questions that neither knew."""

    verdict: Verdict
    figures: dict[str, float]
    """Mean reciprocal ranks: BM25, and base and candidate, each alone and ranked."""


def prove(held: HeldOut, base: Bundle, candidate: Bundle | None, folder: Path, settings: Settings) -> Proof:
    """Ask the test questions of BASE and of CANDIDATE, if there is one; their indexes are built below FOLDER."""
    if not held.test:
        return Proof(Verdict(False, f"no held-out questions, {FEWEST} are needed to prove a gain", 0), {})
    before = ranks(held, held.test, base, folder / "base", settings)
    figures = {BM25: fmean(before.bm25), f"base, {ALONE}": fmean(before.alone), f"base, {RANKED}": fmean(before.ranked)}
    if candidate is None:
        return Proof(Verdict(False, "the base itself", len(held.test)), figures)
    after = ranks(held, held.test, candidate, folder / "adapted", settings)
    figures |= {f"adapted, {ALONE}": fmean(after.alone), f"adapted, {RANKED}": fmean(after.ranked)}
    return Proof(judge(before.ranked, after.ranked), figures)
