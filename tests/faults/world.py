"""A small repository that lives on: what is done to it, and what is true of its index when nothing was lost."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from codesearch import generations
from codesearch.adaptation import last
from codesearch.events import Event
from codesearch.settings import Settings
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.index.conftest import FILES, contents, write

MODULES: Final = 24
_WORDS: Final = "ledger parcel kettle violin harbour pigeon mirror engine candle basket lantern anchor".split()
_NEVER_LEFT: Final = ("CURRENT.new", "old-*", "gen-*/store/**/.tmp*", "gen-*/*-journal")
"""What a killed process may leave in an index folder, and the next run that writes must not.

What belongs to a training (`work-*`, `model-*.partial`) goes with the next training, for another may be at it.
"""


def found(root: Path) -> None:
    """Lay the repository out in ROOT."""
    for path, text in FILES.items():
        write(root, path, text)
    for number in range(MODULES):
        _module(root, number, random.Random(number))


def _module(root: Path, number: int, chance: random.Random) -> None:
    text = "".join(
        f'def {verb}_{word}_{number}(store, times):\n    """{verb.title()} the {word} that somebody brought in."""\n'
        f"    for attempt in range(times):\n        store.{verb}({word}=attempt)\n"
        f"    return {chance.randrange(99)}\n\n\n"
        for verb in chance.sample(["count", "paint", "weigh", "move"], 2)
        for word in chance.sample(_WORDS, 2)
    )
    write(root, f"many/module_{number}.py", text)


def edit(root: Path, chance: random.Random, most: int = 12) -> None:
    """Change, remove, rename and create files of ROOT, up to MOST of them."""
    for number in chance.sample(range(MODULES), chance.randint(1, most)):
        file = root / f"many/module_{number}.py"
        deed = chance.random()
        if deed < 0.7 or not file.exists():
            _module(root, number, chance)
        elif deed < 0.85:
            file.unlink()
        else:
            file.rename(root / f"many/renamed_{number}.py")


def finish(events: Generator[Event, None, Any]) -> None:
    """Do the work of EVENTS to its end."""
    with closing(events):
        for _ in events:
            pass


def lost(root: Path, *, answered: bool) -> list[str]:
    """Return what is wrong with the index of ROOT after a kill, where the next command is a question.

    ANSWERED says that there was an index before: then it also answers at once, without being mended first.
    """
    wrong: list[str] = []
    with Workspace.open(root) as workspace:
        if answered and not workspace.ask("count the parcel", min_score=0, refresh=False).hits:
            wrong.append("it did not go on answering")
        answer = workspace.ask("count the parcel", min_score=0)
        if answer.state is not Stale.FRESH or not answer.hits:
            wrong.append(f"the next question found {len(answer.hits)} in an index that is {answer.state}")
        wrong += differences(workspace)
        said = last(workspace.layout)
        if said and said.accepted and workspace.bundle.fingerprint != said.fingerprint:
            wrong.append("the retriever that was accepted is gone")
        (root / "many/last.py").write_text("def last():\n    return 1\n")
        finish(workspace.index(workers=0))
        (root / "many/last.py").unlink()
        finish(workspace.index(workers=0))
        wrong += leftovers(workspace)
    return wrong


def differences(workspace: Workspace) -> list[str]:
    """Return in what the index of WORKSPACE differs from one that is built from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(index_dir=Path(folder))
        with Workspace.open(workspace.root, settings, model=workspace.bundle) as fresh:
            finish(fresh.index(workers=0))
            wanted, has = contents(fresh), contents(workspace)
    return [f"its {part} differ from those of a fresh index" for part in wanted if wanted[part] != has[part]]


def leftovers(workspace: Workspace) -> list[str]:
    """Return what lies in the index folder and belongs to nothing."""
    folder = workspace.layout.folder
    left = [str(path.relative_to(folder)) for pattern in _NEVER_LEFT for path in folder.glob(pattern)]
    answering = generations.current(workspace.layout)
    left += [path.name for path in folder.glob("gen-*") if answering is None or path != answering.folder]
    return [f"{name} was left behind" for name in left]


def cleared(root: Path) -> list[str]:
    """Return what `clear` leaves of the index of ROOT."""
    with Workspace.open(root) as workspace:
        generations.clear(workspace.layout, 5)
        folder = workspace.layout.folder
    if not folder.exists():
        return []
    left = [path.name for path in folder.iterdir()]
    shutil.rmtree(folder)
    return [f"clearing left {name}" for name in left]
