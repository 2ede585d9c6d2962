"""Fits the weights of `codesearch.rank` to judged questions, says how they do elsewhere, and what each kind brings.

    python -m tests.relevance.fit JUDGEMENTS REPOSITORIES [--ablation] [--indexes FOLDER]

The weights maximise the likelihood of the judged files in a softmax over the files of each question (ListNet, Cao et
al. 2007, with the best chunk speaking for its file), over both scopes, with a penalty on large weights; none may take
the sign against its reason. Fitting sees the shipped evidence and nothing else: no word, path, language or repository.
What generalises is told by cross-validation: each fifth of the repositories is ranked by weights that were fitted on
the others, for several ways of cutting them into fifths, because one way is worth half a point of luck. With --ablation
every kind of evidence is left out in turn, and the rest fitted again.

Nothing is written: what it prints goes into the table by hand, rounded, where a person reads it.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import torch

from codesearch import rank, search
from codesearch.eval.relevance import DEPTH, Place, Target, score
from codesearch.question import Question
from codesearch.rank import CHUNK, FILE, Weight
from codesearch.settings import Settings
from codesearch.types import Span
from codesearch.workspace import Workspace
from tests.relevance.__main__ import questions
from tests.relevance.harness import Repository, repositories

SCOPES: Final = ("root", "checkout")
FOLDS: Final = 5
ROUNDS: Final = 4
"""Ways of cutting the repositories into folds."""
PENALTY: Final = 3e-3
"""Chosen by cross-validation: more of it loses in both scopes, less of it fits better and carries over no better."""
STEPS: Final = 150
RATE: Final = 0.08
BEST: Final = 4
"""Chunks of a file that may come to speak for it while its weights are fitted."""
SET: Final = {
    ("chunk", "line"),
    ("chunk", "definition"),
    ("chunk", "nearest"),
    ("chunk", "continuation"),
    ("file", "path"),
    ("file", "vendored"),
    ("file", "stub"),
}
"""Weights that no question here can teach: none is a stack trace, none finds a copy of other code, and whose file is
judged says nothing of where in it the definition begins, or which of its functions is meant. Functions that are found
by their documentation say that (`docstrings.py`)."""

Name = tuple[str, str]
NAMES: Final[list[Name]] = [*(("chunk", name) for name in CHUNK), *(("file", name) for name in FILE)]
KINDS: Final[dict[str, set[Name]]] = {
    "vectors": set(rank.VECTORS),
    "words (BM25, coverage)": {("chunk", "words"), ("file", "words"), ("file", "coverage")},
    "a file's opening": {("file", "opening")},
    "doc comments and docstrings": {("file", "doc")},
    "phrases": {("file", "phrase")},
    "file and folder names": {("file", n) for n in ("file name", "whole file name", "named word", "folder")},
    "names of definitions": {("file", n) for n in ("names", "identifiers", "defines")}
    | {("chunk", n) for n in ("whole name", "definition")},
    "roles (test, example, documentation, …)": {
        ("file", n) for n in ("test", "example", "documentation", "internal", "vendored", "stub")
    },
    "size, index files, continuations": {("file", "size"), ("file", "index"), ("chunk", "continuation")},
}


@dataclass(frozen=True)
class Case:
    """One question on one scope of one repository, with its evidence."""

    repository: str
    scope: str
    category: str
    targets: tuple[Target, ...]
    evidence: Any
    rows: list[Place]

    def ndcg(self, weights: Mapping[Name, float]) -> float:
        """Return nDCG@10 of the page that WEIGHTS make."""
        order, _ = rank.page(rank.totals(self.evidence, *tables(weights)), self.evidence.file_of)
        return score([self.rows[at] for at in order[:DEPTH].tolist()], self.targets).ndcg


def tables(weights: Mapping[Name, float]) -> tuple[dict[str, Weight], dict[str, Weight]]:
    """Return WEIGHTS as the two tables of `codesearch.rank`."""
    of_chunk = {name: Weight(weights["chunk", name], "") for name in CHUNK}
    return of_chunk, {name: Weight(weights["file", name], "") for name in FILE}


def cases(judgements: Path, repository: Repository, scope: str, indexes: Path) -> Iterable[Case]:
    """Index REPOSITORY and yield its questions with what speaks for each candidate."""
    root, prefix = repository.scope(scope)
    with Workspace.open(root, Settings(index_dir=indexes / f"{scope}-{repository.name}")) as workspace:
        for _ in workspace.index():
            pass
        snapshot = workspace.snapshot()
        mirror = snapshot.mirror
        for asked in questions(judgements, repository.name):
            evidence = search.evidence_for(snapshot, Question(asked.query))
            first, last = (
                mirror.columns[name].take(evidence.positions).to_pylist() for name in ("start_line", "end_line")
            )
            paths = [prefix + mirror.paths[mirror.path_of[position]] for position in evidence.positions]
            rows = [Place(path, Span(a, b)) for path, a, b in zip(paths, first, last, strict=True)]
            yield Case(repository.name, scope, asked.category, asked.targets, evidence, rows)


class Fitted:
    """Cases as tensors, in which weights are fitted."""

    def __init__(self, some: list[Case]) -> None:
        """Stack the evidence of SOME cases that have an answer among their candidates."""
        chunk, file, chunk_file, file_case, gold = [], [], [], [], []
        files = 0
        for n, case in enumerate(some):
            evidence = case.evidence
            wanted = {target.path for target in case.targets}
            is_gold = np.zeros(len(evidence.files))
            for at, row in zip(evidence.file_of.tolist(), case.rows, strict=True):
                is_gold[at] = row.path in wanted
            # The best chunk of a file by other weights is, as good as always, among its best by the shipped ones.
            worth = sum((weight.value * evidence.of_chunk[name] for name, weight in CHUNK.items()), np.zeros(1))
            order, before = rank.page(worth, evidence.file_of, more=0)
            kept = order[before < BEST]
            chunk.append(np.column_stack([evidence.of_chunk[name][kept] for name in CHUNK]))
            file.append(np.column_stack([evidence.of_file[name] for name in FILE]))
            chunk_file.append(evidence.file_of[kept] + files)
            file_case.append(np.full(len(evidence.files), n))
            gold.append(is_gold)
            files += len(evidence.files)
        self.chunk = torch.tensor(np.concatenate(chunk), dtype=torch.float32)
        self.file = torch.tensor(np.concatenate(file), dtype=torch.float32)
        self.chunk_file = torch.tensor(np.concatenate(chunk_file))
        self.case = torch.tensor(np.concatenate(file_case))
        self.gold = torch.tensor(np.concatenate(gold), dtype=torch.float32)
        self.cases = len(some)

    def fit(self, without: Collection[Name] = ()) -> dict[Name, float]:
        """Return the weights that fit best, those of WITHOUT and of SET left alone (at 0, and as they are)."""
        shipped = [(CHUNK if table == "chunk" else FILE)[name].value for table, name in NAMES]
        free = torch.tensor([float(name not in without and name not in SET) for name in NAMES])
        sign = torch.tensor([-1.0 if value < 0 else 1.0 for value in shipped])
        size = (0.5 * torch.ones(len(NAMES))).requires_grad_()
        optimizer = torch.optim.Adam([size], lr=RATE)
        golds = torch.zeros(self.cases).scatter_add(0, self.case, self.gold)
        share = self.gold / golds.clamp(min=1)[self.case]
        for _ in range(STEPS):
            weights = size.clamp(min=0) * sign * free
            of_chunk = self.chunk @ weights[: len(CHUNK)]
            best = torch.full((len(self.file),), -torch.inf).scatter_reduce(0, self.chunk_file, of_chunk, "amax")
            scores = self.file @ weights[len(CHUNK) :] + best
            largest = torch.full((self.cases,), -torch.inf).scatter_reduce(0, self.case, scores, "amax").detach()
            scores = scores - largest[self.case]
            log_total = torch.zeros(self.cases).scatter_add(0, self.case, scores.exp()).log()
            loss = -(share * (scores - log_total[self.case])).sum() / (golds > 0).sum() + PENALTY * (weights**2).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found = (size.clamp(min=0) * sign * free).tolist()
        return {name: shipped[i] if name in SET - set(without) else found[i] for i, name in enumerate(NAMES)}


def cross_validated(some: list[Case], without: Collection[Name] = ()) -> list[float]:
    """Return nDCG@10 of each case under weights fitted on repositories not in its fold, the mean of all rounds."""
    names = sorted({case.repository for case in some})
    found = [0.0] * len(some)
    for fold in range(ROUNDS * FOLDS):
        if fold % FOLDS == 0:
            random.Random(fold // FOLDS).shuffle(names)
        held = set(names[fold % FOLDS :: FOLDS])
        weights = Fitted([case for case in some if case.repository not in held]).fit(without)
        for n, case in enumerate(some):
            if case.repository in held:
                found[n] += case.ndcg(weights) / ROUNDS
    return found


def headline(some: list[Case], figures: list[float], scope: str, category: str = "") -> float:
    """Return the mean over repositories of each one's mean; over questions, for one CATEGORY."""
    chosen = [
        (case.repository, figure)
        for case, figure in zip(some, figures, strict=True)
        if case.scope == scope and category in ("", case.category)
    ]
    if category:
        return fmean(figure for _, figure in chosen)
    return fmean(fmean(f for name, f in chosen if name == one) for one in {name for name, _ in chosen})


def line(label: str, some: list[Case], figures: list[float]) -> str:
    """Return one row: both scopes, each overall and by category."""
    categories = ("", "architecture", "semantic", "symbol")
    parts = [" ".join(f"{headline(some, figures, scope, c):.4f}" for c in categories) for scope in SCOPES]
    return f"{label:48} {'   '.join(parts)}"


def main() -> None:
    """Read the arguments, gather, fit and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.relevance.fit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("judgements", type=Path, help="folder with repositories.json and judgements/")
    parser.add_argument("repositories", type=Path, help="folder with one checkout a repository, by name")
    parser.add_argument("--ablation", action="store_true", help="also leave out each kind of evidence in turn")
    parser.add_argument("--indexes", type=Path, help="keep the indexes here, for the next run, instead of nowhere")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fit-") as temporary:
        indexes = given.indexes or Path(temporary)
        some = [
            case
            for scope in SCOPES
            for repository in repositories(given.judgements, given.repositories, [])
            for case in cases(given.judgements, repository, scope, indexes)
        ]
    shipped = {(t, n): w.value for t, table in (("chunk", CHUNK), ("file", FILE)) for n, w in table.items()}
    fitted = Fitted(some).fit()
    print(f"{'':48} root: all, arch., sem., symbol    checkout")
    print(line("shipped", some, [case.ndcg(shipped) for case in some]))
    print(line("fitted", some, [case.ndcg(fitted) for case in some]))
    print(line("cross-validated", some, cross_validated(some)))
    if given.ablation:
        for kind, without in KINDS.items():
            print(line(f"  without {kind}", some, cross_validated(some, without)), flush=True)
    print()
    for table, name in NAMES:
        print(f"{table:6} {name:16} shipped {shipped[table, name]:6.2f}   fitted {fitted[table, name]:6.2f}")


if __name__ == "__main__":
    main()
