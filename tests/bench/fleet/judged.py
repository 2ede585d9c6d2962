"""What a store of the judged repositories finds (`tests/relevance`): each question is asked of all of them at once.

A question does not say which repository it is about, so this is how well a store does where it has to tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from codesearch.eval.relevance import DEPTH, Place, Target, score
from codesearch.fleet.access import Access, Wanted
from codesearch.fleet.schema import Entry
from codesearch.fleet.search import Fleet
from codesearch.search import Mode
from codesearch.types import Hit
from tests.relevance.__main__ import questions


def table(store: str, judgements: Path) -> None:
    """Print nDCG@10 of the questions of JUDGEMENTS, a mean over the repositories in STORE, and whose code is shown."""
    fleet = Fleet(store, Access())
    entries = [one for one in fleet.entries if (judgements / "judgements" / f"{_name(one)}.json").exists()]
    asked = {one.repository: questions(judgements, _name(one)) for one in entries}
    print(f"{sum(map(len, asked.values()))} questions about {len(entries)} of {len(fleet.entries)} repositories")
    for case, mode, named in (
        ("all repositories", Mode.FUSED, False),
        ("the repository named", Mode.FUSED, True),
        ("all repositories, vectors alone", Mode.DENSE, False),
    ):
        found: dict[str, list[float]] = {}
        own: list[float] = []
        for repository, its in asked.items():
            wanted = Wanted(repositories=(repository,) if named else ())
            for question in its:
                hits = fleet.ask(question.query, DEPTH, wanted=wanted, mode=mode, min_score=0).hits
                found.setdefault(repository, []).append(_ndcg(hits, repository, question.targets))
                own += (float(hit.repository == repository) for hit in hits)
        ndcg = fmean(map(fmean, found.values()))
        print(f"{case:32} nDCG@10 {ndcg:.4f}   of its repository are {fmean(own):.0%} of the results", flush=True)


def _name(entry: Entry) -> str:
    return entry.repository.rpartition("/")[2]


def _ndcg(hits: tuple[Hit, ...], repository: str, targets: tuple[Target, ...]) -> float:
    def rows() -> Iterator[Place]:
        for hit in hits:
            elsewhere = "" if hit.repository == repository else f"{hit.repository}:"
            yield Place(elsewhere + hit.path, hit.span)

    return score(list(rows()), targets).ndcg
