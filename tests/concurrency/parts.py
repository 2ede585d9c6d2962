"""What runs in a process of its own beside the installed command: python -m tests.concurrency.parts PART ROOT [BUNDLE].

reader    keeps the workspace open, as a program does that holds it, and asks the questions on standard input
tidier    indexes, and finds the store worn after each refresh: compaction and cleaning all the time
adapter   goes through all of adapting but the training: an adapted retriever is there, or, without BUNDLE, refused
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from codesearch import adaptation, bundle, generations, shape
from codesearch.adaptation import Adaptation
from codesearch.errors import CodesearchError, IndexBusyError
from codesearch.types import Stale
from codesearch.workspace import Workspace

BUSY: Final = 75
"""Exit status: another process is at it (EX_TEMPFAIL)."""
LONGEST: Final = 240.0
"""Seconds after which a process counts as stuck; shortly before, it says where it is."""
_BETWEEN: Final = 0.2
"""Seconds between two questions of a reader."""


def reader(root: Path) -> None:
    with Workspace.open(root) as workspace:
        for number, line in enumerate(sys.stdin):
            time.sleep(_BETWEEN)
            begun = time.monotonic()
            refresh = number % 3 == 0
            try:
                answer = workspace.ask(line.strip(), refresh=refresh)
            except IndexBusyError:  # it is built for the first time, and cannot be read yet
                continue
            said = shape.answer(answer) | {"begun": begun, "ended": time.monotonic()}
            # Without a refresh it is only asked what the index knows.
            print(json.dumps(said if refresh else said | {"state": str(Stale.FILES)}), flush=True)


def tidier(root: Path) -> None:
    from codesearch import store

    store._FRAGMENTS = 1
    with Workspace.open(root) as workspace:
        for _ in workspace.index():
            pass


def adapter(root: Path, folder: Path | None) -> None:
    """As `revela_train.workspace.train`, but nothing is trained, so torch is not loaded."""
    with Workspace.open(root) as workspace:
        base = workspace.base.fingerprint
        said = Adaptation(accepted=False, reason="refused", base=base)
        if folder is not None:
            made = bundle.load(folder).fingerprint
            said = Adaptation(accepted=True, reason="accepted", base=base, fingerprint=made)
        generations.prepare(workspace.layout)
        with generations.training(workspace.layout):
            with adaptation.working(workspace.layout):
                adaptation.keep(workspace.layout, said, folder)
            for _ in workspace.index():
                pass
            adaptation.tidy(workspace.layout)


def main(part: str, root: str, *rest: str) -> None:
    faulthandler.dump_traceback_later(LONGEST - 10)
    run: dict[str, Any] = {"reader": reader, "tidier": tidier, "adapter": adapter}
    more = [Path(rest[0]) if rest else None] if part == "adapter" else []
    try:
        run[part](Path(root), *more)
    except IndexBusyError as error:
        print(error, file=sys.stderr)
        sys.exit(BUSY)
    except CodesearchError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
