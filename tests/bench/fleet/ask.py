"""What asking a store costs, warm, with and without filters, and where the time goes.

Asked are comments and docstrings that stand in the code of the store. Whoever sees half of the repositories sees every
second of them, by name. Steps of a question run beside each other, so they may add up to more than it takes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean, median, quantiles
from typing import Any
from unittest.mock import patch

from codesearch.fleet.access import Access, Wanted
from codesearch.fleet.search import Fleet
from codesearch.fleet.store import FleetStore
from tests.bench.fleet.vectors import questions

STEPS = ("nearest", "matching", "having", "files_of", "frequencies", "texts")


def table(store: str, count: int) -> None:
    """Print milliseconds a question, by what is asked about, and of its steps."""
    asked = questions(store, count)
    started = time.perf_counter()
    fleet = Fleet(store, Access())
    print(
        f"{fleet._visible.store.chunks:,} chunks, {len(fleet.entries)} repositories, opened in "
        f"{time.perf_counter() - started:.2f} s; {len(asked)} questions",
        flush=True,
    )
    names = sorted(fleet.entries, key=lambda entry: -entry.chunks)
    half = Access(repositories=frozenset(entry.repository for entry in names[::2]))
    owners = Counter(entry.owner for entry in names)
    cases: dict[str, tuple[Fleet, Wanted]] = {
        "everything": (fleet, Wanted()),
        "without tests": (fleet, Wanted(tests=False)),
        "one language": (fleet, Wanted(languages=frozenset({"python"}))),
        "one owner": (fleet, Wanted(owners=(owners.most_common(1)[0][0],))),
        "one large repository": (fleet, Wanted(repositories=(names[0].repository,))),
        "one small repository": (fleet, Wanted(repositories=(names[-1].repository,))),
    }
    _cases(cases, asked)
    print(f"memory of who asks at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB", flush=True)
    _cases({"half may be seen": (Fleet(store, half), Wanted())}, asked)
    print(_agreeing(fleet, asked[:30]), flush=True)
    command = [sys.executable, "-m", "codesearch.cli", "ask", asked[0], "--store", store, "-q", "--no-server"]
    cold = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=False)
        cold.append(time.perf_counter() - started)
    print(f"the command, which opens the store each time: {median(cold):.2f} s (median of {len(cold)})")


def _cases(cases: dict[str, tuple[Fleet, Wanted]], asked: Sequence[str]) -> None:
    for name, (one, wanted) in cases.items():
        steps = _timed()
        took = [one.ask(question, wanted=wanted, min_score=0).ms for question in asked]
        parts = "  ".join(f"{step} {1000 * spent / len(asked):.0f}" for step, spent in steps.items() if spent)
        print(f"{name:22} p50 {median(took):7.0f} ms  p95 {quantiles(took, n=20)[-1]:7.0f} ms   {parts}", flush=True)


def _agreeing(fleet: Fleet, asked: Sequence[str]) -> str:
    """Return how much of a page is the same where every vector is compared."""

    def pages() -> list[set[str]]:
        return [{f"{hit.place}:{hit.span}" for hit in fleet.ask(question, 10, min_score=0).hits} for question in asked]

    mine = pages()
    with patch("codesearch.fleet.store.vector_index", lambda _: None):
        exact = pages()
    share = fmean(len(one & other) / max(len(other), 1) for one, other in zip(mine, exact, strict=True))
    return f"of the ten results of a page, {share:.3f} are those of comparing all vectors ({len(asked)} questions)"


def _timed() -> dict[str, float]:
    """Have the steps of a store timed from now on, and return where the seconds of each add up."""
    spent = dict.fromkeys(STEPS, 0.0)

    def timing(step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                spent[step] += time.perf_counter() - started

        timed.plain = work  # type: ignore[attr-defined]
        return timed

    for step in STEPS:
        plain = getattr(FleetStore, step)
        setattr(FleetStore, step, timing(step, getattr(plain, "plain", plain)))
    return spent
