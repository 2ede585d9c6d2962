"""A change in ranking is a diff that a person reads: the first rows of each question, and how good they are in all.

UPDATE_GOLDENS=1 writes both files anew, to be read before they are committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import fmean

from codesearch.types import Hit
from codesearch.workspace import Workspace

GOLDENS = Path(__file__).parent / "goldens"
ROWS = 4


def lay_out(root: Path) -> Path:
    for part in (GOLDENS / "corpus.txt").read_text(encoding="utf-8").split("=== ")[1:]:
        path, _, text = part.partition("\n")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def questions() -> list[tuple[str, str]]:
    lines = (GOLDENS / "questions.txt").read_text(encoding="utf-8").splitlines()
    return [(query, place) for query, _, place in (line.partition(" | ") for line in lines if line[:1] != "#")]


def place(hit: Hit) -> str:
    return f"{hit.path} {hit.symbol}".rstrip()


def row(hit: Hit) -> str:
    best = sorted(hit.reasons, key=lambda part: -abs(part[1]))[:3]
    return f"  {hit.score:6.1f}  {place(hit):46} {', '.join(f'{name} {worth:+.1f}' for name, worth in best)}"


def test_the_first_rows_and_their_statistics_are_as_they_were(tmp_path: Path) -> None:
    shown, ranks = [], []
    with Workspace.open(lay_out(tmp_path)) as workspace:
        for query, wanted in questions():
            hits = workspace.ask(query, 10).hits
            ranks.append(next((n for n, hit in enumerate(hits, 1) if place(hit) == wanted), 0))
            shown.append("\n".join([f"{query}  →  {wanted}: {ranks[-1] or 'none'}", *map(row, hits[:ROWS])]))
        totals = workspace.snapshot().manifest.totals()
    statistics = "\n".join(
        [
            f"files      {totals.files}",
            f"chunks     {totals.chunks}",
            f"terms      {totals.terms}",
            f"questions  {len(ranks)}",
            f"first      {sum(rank == 1 for rank in ranks)}",
            f"in three   {sum(0 < rank <= 3 for rank in ranks)}",
            f"MRR@10     {fmean(1 / rank if rank else 0 for rank in ranks):.3f}",
        ]
    )
    for name, text in ("ranking.golden", "\n\n".join(shown)), ("statistics.golden", statistics):
        if os.environ.get("UPDATE_GOLDENS"):
            (GOLDENS / name).write_text(f"{text}\n", encoding="utf-8")
        assert (GOLDENS / name).read_text(encoding="utf-8") == f"{text}\n"
