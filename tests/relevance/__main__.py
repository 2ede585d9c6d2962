"""Run codesearch over judged repositories as a user would, score the answers and keep the figures by commit.

    python -m tests.relevance JUDGEMENTS REPOSITORIES [--scope root|checkout] [--mode fused|dense|text] [--keep] …

README.md in this folder says what the data is and how to get it; `harness.py` runs the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from codesearch.eval.relevance import DEPTH, Score, Target, mean
from codesearch.types import Span
from tests.relevance.harness import Answered, Question, keep, parser, repositories, run, write

SCOPES: Final = ("root", "checkout")


def questions(judgements: Path, name: str) -> list[Question]:
    """Return what was judged for the repository NAME."""
    said = json.loads((judgements / "judgements" / f"{name}.json").read_text(encoding="utf-8"))
    return [Question(q["query"], q["category"], tuple(map(_target, q["targets"]))) for q in said]


def _target(said: dict[str, Any]) -> Target:
    lines = Span(said["start_line"], said["end_line"]) if "start_line" in said else None
    return Target(said["path"], lines)


def summary(answers: list[Answered]) -> dict[str, Any]:
    """Return the headline, and the means by category and by repository."""
    by_repository = _means((a.repository.name, a.score) for a in answers)
    return {
        "overall": mean(by_repository.values()),
        "queries": len(answers),
        "p50_ms": round(median(a.ms for a in answers), 2),
        "category": _means((a.question.category, a.score) for a in answers),
        "repository": by_repository,
    }


def _means(named: Iterable[tuple[str, Score]]) -> dict[str, Score]:
    groups: dict[str, list[Score]] = {}
    for name, one in named:
        groups.setdefault(name, []).append(one)
    return {name: mean(scores) for name, scores in sorted(groups.items())}


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield SUMMARY's lines as people read them."""
    yield f"{'':16}  nDCG@{DEPTH}  recall@{DEPTH}  MRR@{DEPTH}"

    def line(name: str, s: Score) -> str:
        return f"{name:16}   {s.ndcg:.4f}     {s.recall:.4f}  {s.mrr:.4f}"

    for group in ("category", "repository"):
        for name, s in figures[group].items():
            yield line(name, s)
        yield ""
    yield line("OVERALL", figures["overall"])
    yield f"{figures['queries']} queries, p50 {figures['p50_ms']} ms"


def main() -> None:
    """Read the arguments, run, and print a table; with --keep, write it down."""
    options = parser("tests.relevance", __doc__)
    options.add_argument("--scope", choices=SCOPES, default="root", help="index each root, or the whole checkout")
    options.add_argument("--indexes", type=Path, help="keep the indexes here, for the next run, instead of nowhere")
    given = options.parse_args()

    chosen = repositories(given.judgements, given.repositories, given.names)
    started = time.perf_counter()
    answers: list[Answered] = []
    with contextlib.ExitStack() as stack:
        home = given.indexes or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevance-")))
        environment = os.environ | {"CODESEARCH_HOME": str(home)}
        for repository in chosen:
            asked = questions(given.judgements, repository.name)
            got = run(repository, asked, given.scope, ["--mode", given.mode], environment)
            answers += got
            print(f"{repository.name:16}   {mean(a.score for a in got).ndcg:.4f}", file=sys.stderr, flush=True)
    figures = summary(answers)
    print("\n".join(table(figures)))
    if given.run:
        write(answers, given.run)
    if given.keep:
        command = ["tests.relevance", *given.names, "--scope", given.scope, "--mode", given.mode]
        keep(f"{given.scope}-{given.mode}", {"scope": given.scope, "mode": given.mode}, figures, command, started)


if __name__ == "__main__":
    main()
