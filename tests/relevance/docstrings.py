"""Does the first sentence of a function's documentation find that function, once the documentation is gone?

    python -m tests.relevance.docstrings JUDGEMENTS REPOSITORIES [NAME …] [--most 100] [--mode fused|dense|text] …

Questions that their authors wrote, about single functions, with one right answer each: what no judge, human or
machine, has touched. Of JUDGEMENTS only `repositories.json` is read. For each repository, its `root`:

1. Every function whose documentation opens with a sentence of prose that stands nowhere else is a candidate; at most
   `--most` are drawn, in the order of a digest of path and symbol, so that a draw is even and always the same.
2. A copy is written in which the documentation of all that are drawn is gone, the whole of it, and nothing else. The
   copy is cut again; a function that is not found there by its name, or of which the sentence is left, is *lost*.
3. The installed command indexes the copy and answers all sentences. A row counts if it shows lines of the function;
   each part of a long one does, and another function of the same name does not.

What counts is the page as a user sees it: ten rows, in the order that `ask` gives, best row of each file first. So a
function that is the second best of its file comes after the best of all other files, and is often not found.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from codesearch.eval.docstrings import by_lot, strip
from codesearch.eval.relevance import DEPTH, Target
from tests.relevance.harness import Answered, Question, Repository, keep, parser, repositories, run, write

MOST: Final = 100
"""Functions drawn from a repository: enough for a mean that a few sentences do not move."""
FEWEST: Final = 10
"""Questions from which a repository counts in the mean over repositories."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What a repository is asked."""

    questions: list[Question]
    candidates: int
    lost: int
    """Functions drawn that are not found again, or not without their sentence."""


def draw(root: Path, copy: Path, most: int) -> Draw:
    """Write a COPY of what is indexed of ROOT, less the documentation of at most MOST functions; return what to ask."""
    stripped = strip(root, copy, lambda candidates: by_lot(candidates)[:most])
    questions = [
        Question(one.sentence, "docstring", tuple(Target(one.path, span) for span in spans))
        for one, spans in stripped.asked
    ]
    return Draw(questions, stripped.candidates, stripped.lost)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the answers of one repository come to, or their means over several; each figure from 0 to 1."""

    mrr: float
    recall: float
    first: float
    """Share of the questions that the first row answers."""
    questions: int
    candidates: int
    lost: int


def figures_of(drawn: Draw, answers: Sequence[Answered]) -> Figures:
    """Return the figures of ANSWERS to the questions DRAWN, at least one."""
    reciprocal = [answer.score.mrr for answer in answers]
    return Figures(
        mrr=fmean(reciprocal),
        recall=fmean(one > 0 for one in reciprocal),
        first=fmean(one == 1 for one in reciprocal),
        questions=len(answers),
        candidates=drawn.candidates,
        lost=drawn.lost,
    )


def summary(by_repository: Mapping[str, Figures]) -> dict[str, Any]:
    """Return the headline, a mean over the repositories with questions enough, and the figures of all."""
    counted = [one for one in by_repository.values() if one.questions >= FEWEST]
    if not counted:
        sys.exit(f"no repository gives {FEWEST} questions: name a larger one")
    return {
        "overall": {name: fmean(getattr(one, name) for one in counted) for name in ("mrr", "recall", "first")},
        "questions": sum(one.questions for one in counted),
        "too_few": len(by_repository) - len(counted),
        "repository": dict(sorted(by_repository.items())),
    }


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield SUMMARY's lines as people read them."""
    yield f"{'':16}  MRR@{DEPTH}  recall@{DEPTH}  recall@1  questions  candidates  lost"

    def line(name: str, mrr: float, recall: float, first: float, questions: int) -> str:
        return f"{name:16}  {mrr:.4f}     {recall:.4f}    {first:.4f}  {questions:9}"

    for name, f in figures["repository"].items():
        yield f"{line(name, f.mrr, f.recall, f.first, f.questions)}  {f.candidates:10}  {f.lost:4}"
    yield ""
    yield line("OVERALL", **figures["overall"], questions=figures["questions"])
    yield f"{figures['too_few']} repositories with fewer than {FEWEST} questions do not count"


def main() -> None:
    """Read the arguments, draw, ask, and print a table; with --keep, write it down."""
    options = parser("tests.relevance.docstrings", __doc__)
    options.add_argument("--most", type=int, default=MOST, help="functions drawn from a repository")
    given = options.parse_args()
    if given.most < FEWEST:
        options.error(f"--most {given.most} leaves too few questions for a mean; give {FEWEST} or more")

    started = time.perf_counter()
    answers: list[Answered] = []
    by_repository: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="docstrings-") as folder:
        environment = os.environ | {"CODESEARCH_HOME": str(Path(folder, "indexes"))}
        for repository in repositories(given.judgements, given.repositories, given.names):
            copy = Repository(repository.name, "", Path(folder, "copies", repository.name))
            drawn = draw(repository.scope("root")[0], copy.folder, given.most)
            if not drawn.questions:
                print(f"{repository.name:16}   no questions", file=sys.stderr, flush=True)
                continue
            got = run(copy, drawn.questions, "root", ["--mode", given.mode], environment)
            answers += got
            by_repository[repository.name] = figures_of(drawn, got)
            print(f"{repository.name:16}   {by_repository[repository.name].mrr:.4f}", file=sys.stderr, flush=True)
    figures = summary(by_repository)
    print("\n".join(table(figures)))
    if given.run:
        write(answers, given.run)
    if given.keep:
        about = {"measure": "docstrings", "mode": given.mode, "most": given.most}
        command = ["tests.relevance.docstrings", *given.names, "--mode", given.mode, "--most", str(given.most)]
        keep(f"docstrings-{given.mode}", about, figures, command, started)


if __name__ == "__main__":
    main()
