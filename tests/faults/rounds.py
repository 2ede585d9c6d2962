"""Rounds: do something to a repository's index, kill it on the way, and see whether anything was lost."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.context import ForkServerContext as Forks
from pathlib import Path
from typing import Any, Final

from tests.faults import world
from tests.faults.points import ANY, DEEDS, TRAINS

_TORCH: Final = importlib.util.find_spec("torch") is not None
_TURNS: Final = 3
"""Of what takes a second, for each of what trains, and takes ten."""
_LONG: Final = 300.0
"""Seconds after which a victim or a judge hangs."""


@dataclass(frozen=True, slots=True)
class At:
    """Where a process dies."""

    point: str
    when: str
    """`before` or `after`."""
    call: int
    """Which call of the point, counted from 1."""


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one kill."""

    deed: str
    point: str
    """ANY for a random moment."""
    killed: bool
    """Whether it died: a random moment may come too late, and a point be passed less often than before."""
    wrong: tuple[str, ...]


def forks() -> Forks:
    """Return where victims are forked: a server that has loaded what they use, once for a whole process of tests."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.victim", *(["revela_train.workspace"] if _TORCH else [])])
    return context


def process(context: Forks, what: str, *arguments: Any) -> Any:
    """Return a process that will run the function WHAT of `victim`."""
    return context.Process(target=_run, args=(what, *arguments))


def _run(what: str, *arguments: Any) -> None:
    from tests.faults import victim  # in forked processes alone: it loads LanceDB

    getattr(victim, what)(*arguments)


def kill(context: Forks, deed: str, root: Path, seed: int, at: At | float) -> bool:
    """Do DEED to ROOT in a process that dies AT a point, or is killed after so many seconds; tell whether it died.

    Raises:
        AssertionError: it hangs.
    """
    ready, told = context.Pipe(duplex=False)
    point = at if isinstance(at, At) else At(ANY, "", 0)
    victim = process(context, "die", told, deed, root, seed, point.point, point.when, point.call)
    victim.start()
    told.close()
    ready.recv()
    if not isinstance(at, At):
        victim.join(at)
        victim.kill()
    victim.join(_LONG)
    if victim.is_alive():
        victim.kill()
        raise AssertionError(f"{deed} hangs")
    return bool(victim.exitcode == -signal.SIGKILL)


class Rounds:
    """Kills, one after the other, of what is done to one repository."""

    def __init__(self, folder: Path, seed: int, deeds: tuple[str, ...] = DEEDS) -> None:
        """Lay a repository out in FOLDER; SEED decides what is done to it, and where each of the DEEDS dies."""
        self._chance = random.Random(seed)
        quick = [deed for deed in deeds if deed not in TRAINS]
        self._turns = quick * _TURNS + [deed for deed in deeds if deed in TRAINS and _TORCH]
        self._forks = forks()
        self._root = folder / "repository"
        self._counted = folder / "counted.json"
        self._calls: dict[str, dict[str, int]] = {}
        self._seconds: dict[str, float] = {}
        world.found(self._root)

    def run(self, rounds: int) -> Iterator[Round]:
        """Yield what came of so many ROUNDS: of every deed in turn, half at its points, half at any moment."""
        waiting: dict[str, list[str]] = {}
        for deed in islice(cycle(self._turns), rounds):
            if deed not in self._calls:
                self._rehearse(deed)
            if not waiting.get(deed):
                waiting[deed] = self._shuffled(deed)
            yield self._round(deed, waiting[deed].pop())

    def _shuffled(self, deed: str) -> list[str]:
        points = [point for point, calls in self._calls[deed].items() if calls]
        points += [ANY] * len(points)
        self._chance.shuffle(points)
        return points

    def _rehearse(self, deed: str) -> None:
        self._prepare(deed)
        self._finished("rehearse", deed, self._root, self._seed(), self._counted)
        self._calls[deed], self._seconds[deed] = json.loads(self._counted.read_text())

    def _round(self, deed: str, point: str) -> Round:
        self._prepare(deed)
        if point == ANY:
            at: At | float = self._chance.uniform(0, self._seconds[deed])
        else:
            call = self._chance.randint(1, self._calls[deed][point])
            at = At(point, self._chance.choice(["before", "after"]), call)
        died = kill(self._forks, deed, self._root, self._seed(), at)
        return Round(deed, point, died, tuple(self._judged(answered=deed not in ("index", "clear"))))

    def _prepare(self, deed: str) -> None:
        """Bring repository and index into the state that DEED begins with."""
        index = self._root / ".codesearch"
        if deed == "index":
            shutil.rmtree(index, ignore_errors=True)
        elif not index.exists():
            self._finished("do", "index", self._root, 0)
        if deed not in TRAINS:
            world.edit(self._root, self._chance)

    def _judged(self, *, answered: bool) -> list[str]:
        heard, said = self._forks.Pipe(duplex=False)
        judge = process(self._forks, "judge", said, self._root, answered, self._chance.random() < 0.1)
        judge.start()
        said.close()
        wrong: list[str] = heard.recv() if heard.poll(_LONG) else ["the next command hangs"]
        judge.join(1)
        judge.kill()
        return wrong

    def _finished(self, what: str, *arguments: Any) -> None:
        one = process(self._forks, what, *arguments)
        one.start()
        one.join(_LONG)
        if one.exitcode != 0:
            raise AssertionError(f"{what} {arguments} ended with {one.exitcode}")

    def _seed(self) -> int:
        return self._chance.randrange(1 << 30)


def table(rounds: list[Round]) -> str:
    """Return how many ROUNDS there were at each point of each deed, how many died, and how many lost anything."""
    places = sorted({(r.deed, r.point) for r in rounds}, key=lambda place: (DEEDS.index(place[0]), place[1]))
    tried = Counter((r.deed, r.point) for r in rounds)
    died = Counter((r.deed, r.point) for r in rounds if r.killed)
    lost = Counter((r.deed, r.point) for r in rounds if r.wrong)
    lines = [f"{'deed':9} {'point':46} {'rounds':>6} {'kills':>6} {'losses':>6}"]
    lines += [f"{d:9} {p:46} {tried[d, p]:6} {died[d, p]:6} {lost[d, p]:6}" for d, p in places]
    lines.append(f"{'all':56} {tried.total():6} {died.total():6} {lost.total():6}")
    return "\n".join(lines)
