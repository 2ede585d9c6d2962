"""What holding back a file's further chunks brings and costs: functions wanted, against files judged.

    python -m tests.relevance.page JUDGEMENTS REPOSITORIES [NAME …]

Judged questions count a file once; whoever looks for a function wants the right one of its file. So both are asked of
the same ranking, for several ways of holding back and of weighing what tells the chunks of one file apart: functions by
the first sentence of their documentation (the test questions of `codesearch eval`, at most MOST a repository; MRR@100,
mean over the repositories that give ten), and the judged questions (scope `root`, nDCG@10). Weights are chosen by hand
from the table.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codesearch.eval.heldout import hold_out
from codesearch.eval.relevance import DEPTH, Place, score
from codesearch.evidence import Evidence
from codesearch.question import Question
from codesearch.rank import CHUNK, FILE, MORE, Weight, by_file, totals
from codesearch.search import evidence_for
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from tests.relevance.__main__ import questions
from tests.relevance.harness import Question as Judged
from tests.relevance.harness import Repository, parser, repositories

MOST: Final = 150
FEWEST: Final = 10
_LOOKED_AT: Final = 100

Shape = Callable[[NDArray[np.intp]], NDArray[np.float64]]
SHAPES: Final[Mapping[str, Shape]] = {"n": lambda n: n.astype(np.float64), "√n": np.sqrt}

TRIED: Final = [
    ("n", -4.0, 0.63, 0.43),
    ("n", -2.0, 0.63, 0.43),
    ("n", -0.5, 0.63, 0.43),
    ("n", 0.0, 0.63, 0.43),
    ("√n", -2.75, 0.63, 0.43),
    ("√n", -2.75, 0.95, 0.20),
    ("√n", MORE.value, CHUNK["nearest"].value, CHUNK["continuation"].value),
]
"""By which shape of the number of better chunks, times what; weights of `nearest` and `continuation`. Last: shipped."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What speaks for the answers of one question, and how an order of them is scored."""

    evidence: Evidence
    right: NDArray[np.bool_] | None
    """Shape (chunks,), for a function; None for a judged question."""
    rows: list[Place]
    judged: Judged | None

    def figure(self, order: NDArray[np.intp]) -> float:
        """Return the reciprocal rank, or the nDCG, of the chunks in ORDER."""
        if self.right is not None:
            ranks = np.flatnonzero(self.right[order][:_LOOKED_AT])
            return 1 / (int(ranks[0]) + 1) if len(ranks) else 0.0
        assert self.judged is not None
        return score(tuple(self.rows[at] for at in order[:DEPTH].tolist()), self.judged.targets).ndcg


def ordered(evidence: Evidence, shape: Shape, more: float, chunk: Mapping[str, Weight]) -> NDArray[np.intp]:
    """Return the chunks of EVIDENCE as a page that holds back by SHAPE has them (`rank.page`, with another shape)."""
    scores = totals(evidence, chunk, FILE)
    order = by_file(scores, evidence.file_of)
    counts = np.bincount(evidence.file_of)
    before = np.empty(len(scores), np.intp)
    before[order] = np.arange(len(scores)) - (np.cumsum(counts) - counts)[evidence.file_of[order]]
    return np.argsort(-np.round(scores + more * shape(before), 6), kind="stable")


def asked_of(repository: Repository, judgements: Path, folder: Path) -> list[Asked]:
    """Return what is asked of REPOSITORY, with its evidence; copies and indexes go to FOLDER."""
    root, prefix = repository.scope("root")
    held = hold_out(root, folder / "copy", Settings())
    found = []
    with Workspace.open(held.folder, Settings(index_dir=folder / "copy-index")) as workspace:
        for _ in workspace.index():
            pass
        snapshot = workspace.snapshot()
        for one in [one for one in held.test if one.origin == "documentation"][:MOST]:
            evidence = evidence_for(snapshot, Question(one.sentence))
            rows = (snapshot.mirror.row(at) for at in evidence.positions.tolist())
            right = np.array([one.answered_by(row.path, row.span) for row in rows], np.bool_)
            found.append(Asked(evidence, right, [], None))
    with Workspace.open(root, Settings(index_dir=folder / "index")) as workspace:
        for _ in workspace.index():
            pass
        snapshot = workspace.snapshot()
        for judged in questions(judgements, repository.name):
            evidence = evidence_for(snapshot, Question(judged.query))
            rows = (snapshot.mirror.row(at) for at in evidence.positions.tolist())
            found.append(Asked(evidence, None, [Place(prefix + row.path, row.span) for row in rows], judged))
    return found


def main() -> None:
    """Ask, rank in each way, and print a table."""
    given = parser("tests.relevance.page", __doc__).parse_args()
    functions: dict[int, list[float]] = defaultdict(list)
    files: dict[int, list[float]] = defaultdict(list)
    semantic: dict[int, list[float]] = defaultdict(list)
    for repository in repositories(given.judgements, given.repositories, given.names):
        with tempfile.TemporaryDirectory(prefix="page-") as folder:
            asked = asked_of(repository, given.judgements, Path(folder))
        for way, (shape, more, nearest, continuation) in enumerate(TRIED):
            chunk = dict(CHUNK)
            for name, value in (("nearest", nearest), ("continuation", continuation)):
                chunk[name] = chunk[name]._replace(value=value)
            found = [(one, one.figure(ordered(one.evidence, SHAPES[shape], more, chunk))) for one in asked]
            of_functions = [figure for one, figure in found if one.judged is None]
            if len(of_functions) >= FEWEST:
                functions[way].append(fmean(of_functions))
            files[way].append(fmean(figure for one, figure in found if one.judged))
            semantic[way] += [figure for one, figure in found if one.judged and one.judged.category == "semantic"]
        print(f"{repository.name}: {sum(one.judged is None for one in asked)} functions", flush=True)
    print(f"{'held back by':14} nearest continuation  functions  judged  semantic")
    for way, (shape, more, nearest, continuation) in enumerate(TRIED):
        means = f"{fmean(functions[way]):.4f}   {fmean(files[way]):.4f}  {fmean(semantic[way]):.4f}"
        print(f"{abs(more):5.2f} {shape:8} {nearest:7.2f} {continuation:12.2f}     {means}")
    print(f"functions of {len(functions[0])} repositories")


if __name__ == "__main__":
    main()
