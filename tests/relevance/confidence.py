"""Is an answer given where there is one, and refused where there is none?

    python -m tests.relevance.confidence JUDGEMENTS REPOSITORIES [--indexes FOLDER]

Asks every repository, in both scopes, its judged questions, those of `codesearch/foreign.txt` and those of
`tests/relevance/foreign.txt`, which calibrated nothing, and prints how many of each would be refused, by the threshold.
Then it fits the weights of `codesearch.confidence` again, judged questions against `codesearch/foreign.txt`, and prints
them, with the same shares when each fifth of the repositories is told by weights that were fitted on the others.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from codesearch.confidence import BIAS, ENOUGH, WEIGHTS, Calibration, foreign_questions
from codesearch.evidence import Evidence
from codesearch.question import Question
from codesearch.search import Snapshot, evidence_for
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from tests.relevance.__main__ import questions
from tests.relevance.fit import FOLDS, SCOPES
from tests.relevance.harness import repositories

THRESHOLDS: Final = (0.05, 0.1, ENOUGH, 0.3, 0.5)
KINDS: Final = ("judged", "calibrating", "foreign", "nonsense")
PENALTY: Final = 1e-3

Case = tuple[str, str, str, list[float], bool]
"""Repository, scope, kind, figures in the order of WEIGHTS and 1, and whether the question names something certain."""


def unseen() -> Iterator[tuple[str, str]]:
    """Yield kind and text of the questions that calibrated nothing."""
    kind = ""
    for line in (Path(__file__).parent / "foreign.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# kind: "):
            kind = line.removeprefix("# kind: ")
        elif line and not line.startswith("#"):
            yield kind, line


def figures(evidence: Evidence, calibration: Calibration) -> list[float]:
    return [calibration.deviations(evidence.similarity), evidence.coverage, evidence.known, evidence.named, 1.0]


def asked(judgements: Path, name: str) -> Iterator[tuple[str, str]]:
    yield from (("judged", question.query) for question in questions(judgements, name))
    yield from (("calibrating", query) for query in foreign_questions())
    yield from unseen()


def cases(snapshot: Snapshot, judgements: Path, name: str, scope: str) -> Iterator[Case]:
    calibration = Calibration.of(snapshot.encoder, snapshot.store.vectors())
    for kind, query in asked(judgements, name):
        evidence = evidence_for(snapshot, Question(query))
        yield name, scope, kind, figures(evidence, calibration), evidence.certain


def fitted(some: list[Case]) -> NDArray[np.float64]:
    """Return the weights, and the bias last, of a logistic regression in which both kinds count the same."""
    chosen = [case for case in some if case[2] in ("judged", "calibrating")]
    x = torch.tensor([case[3] for case in chosen], dtype=torch.float64)
    y = torch.tensor([case[2] == "judged" for case in chosen], dtype=torch.float64)
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=300)
    loss = torch.nn.BCEWithLogitsLoss(pos_weight=(1 - y).sum() / y.sum())

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(x @ weights, y) + PENALTY * (weights[:-1] ** 2).sum()
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach().numpy()


def print_refused(title: str, some: list[Case], logits: NDArray[np.float64]) -> None:
    sure = np.where([case[4] for case in some], 1.0, 1 / (1 + np.exp(-logits)))
    print(f"\n{title:24} {'  '.join(f'{kind:>11}' for kind in KINDS)}")
    for scope in SCOPES:
        for threshold in THRESHOLDS:
            shares = [
                np.mean([s < threshold for s, c in zip(sure, some, strict=True) if c[1] == scope and c[2] == kind])
                for kind in KINDS
            ]
            label = f"{scope} below {threshold}"
            print(f"{label:24} {'  '.join(f'{share:11.2%}' for share in shares)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.relevance.confidence", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("judgements", type=Path, help="folder with repositories.json and judgements/")
    parser.add_argument("repositories", type=Path, help="folder with one checkout a repository, by name")
    parser.add_argument("--indexes", type=Path, help="keep the indexes here, for the next run, instead of nowhere")
    given = parser.parse_args()
    some: list[Case] = []
    with tempfile.TemporaryDirectory(prefix="confidence-") as temporary:
        for scope in SCOPES:
            for repository in repositories(given.judgements, given.repositories, []):
                folder = (given.indexes or Path(temporary)) / f"{scope}-{repository.name}"
                with Workspace.open(repository.scope(scope)[0], Settings(index_dir=folder)) as workspace:
                    for _ in workspace.index():
                        pass
                    some += cases(workspace.snapshot(), given.judgements, repository.name, scope)
    x = np.array([case[3] for case in some])
    print_refused("shipped: refused", some, x @ np.array([*WEIGHTS.values(), BIAS]))
    names = sorted({case[0] for case in some})
    logits = np.zeros(len(some))
    for fold in range(FOLDS):
        held = np.array([case[0] in names[fold::FOLDS] for case in some])
        logits[held] = x[held] @ fitted([case for case, out in zip(some, held, strict=True) if not out])
    print_refused("cross-validated: refused", some, logits)
    print("\nfitted", dict(zip([*WEIGHTS, "bias"], np.round(fitted(some), 2).tolist(), strict=True)))


if __name__ == "__main__":
    main()
