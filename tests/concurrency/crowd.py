"""The crowd: so many processes at a time of all that can be at a workspace, and a judge of what each says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from codesearch import bundle
from codesearch.paths import base_bundle
from codesearch.seal import SEAL
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from tests.concurrency.parts import BUSY, LONGEST
from tests.concurrency.tree import Tree
from tests.conftest import SPEAKS
from tests.index.conftest import contents, index

_BURST: Final = 8
"""Edits at most that follow each other at once, as when a branch is switched."""
_BUSY: Final = ("another process is writing", "is being written", "another process is training")
_QUESTIONS: Final = 20
"""Of those who ask more than once."""


@dataclass
class Told:
    """What came of it all."""

    commands: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """By their state; `partial` where the index was being built."""
    busy: int = 0
    """Commands that were told that another process is at it, and were run again."""
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    edits: int = 0
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    """What is in the index folder at last, and should not be."""
    same: bool = False
    """Whether the index is at last the one that is built from nothing."""

    @property
    def well(self) -> bool:
        """Whether nothing is to complain of."""
        return self.same and not (self.errors or self.wrong or self.stuck or self.left)

    def table(self) -> str:
        """Return it all, for people."""
        lines = [("seconds", f"{self.seconds:,.0f}"), ("edits of the files", f"{self.edits:,}")]
        lines += [(f"run: {name}", f"{n:,}") for name, n in sorted(self.commands.items())]
        lines += [(f"answers: {name}", f"{n:,}") for name, n in sorted(self.answers.items())]
        lines += [("told to wait, and run again", f"{self.busy:,}")]
        for name in ("errors", "wrong", "stuck", "left"):
            lines.append((name, f"{len(getattr(self, name)):,}"))
        lines.append(("index as a fresh one", "yes" if self.same else "NO"))
        width = max(len(name) for name, _ in lines)
        text = "\n".join(f"{name:{width}}  {value:>8}" for name, value in lines)
        complaints = [*self.errors, *self.wrong, *self.stuck, *self.left]
        return "\n".join([text, *complaints])


class Crowd:
    """PROCESSES at a time at one workspace below FOLDER, of which MODULES change, after at most REST seconds again."""

    def __init__(self, folder: Path, *, processes: int, modules: int, rest: float, seed: int) -> None:
        self.told = Told()
        self.root = folder / "root"
        self._folder = folder
        self._processes = processes
        self._rest = rest
        self._seed = seed
        self._telling = threading.Lock()
        self._over = threading.Event()
        self._clearing = 0
        """Who are removing the index now."""
        self._cleared = 0.0
        """When the last was done with it."""
        self.root.mkdir()
        (folder / "runtime").mkdir(mode=0o700)
        said = {name: value for name, value in os.environ.items() if not name.startswith(SPEAKS)}
        self._environment = said | {
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "GIT_CONFIG_SYSTEM": os.devnull,
            "OMP_NUM_THREADS": "1",
        }
        subprocess.run(["git", "init", "--quiet", str(self.root)], check=True, env=self._environment)
        self.tree = Tree(self.root, folder, modules, seed)
        self._bundles = [self._bundle(n) for n in (1, 2)]

    def _bundle(self, number: int) -> Path:
        """Return a folder with a retriever that is the base, and yet another."""
        folder = self._folder / f"bundle-{number}"
        folder.mkdir()
        base = bundle.load(base_bundle())
        for name in base.description.files:
            (folder / name).symlink_to(base.folder / name)
        shorter = base.description.max_tokens - number
        bundle.save(folder, replace(base.description, adapted=True, max_tokens=shorter))
        return folder

    # Who is there.

    def run(self, seconds: float) -> Told:
        """Let them all run for so many SECONDS, and look at what is left then."""
        started = time.monotonic()
        editor = threading.Thread(target=self._edit)
        editor.start()
        try:
            with ThreadPoolExecutor(self._processes) as pool:
                places = [pool.submit(self._stand, number, started + seconds) for number in range(self._processes)]
            for place in places:
                place.result()
        finally:
            self._over.set()
            editor.join()
        self.told.edits, self.told.seconds = self.tree.edits, time.monotonic() - started
        self._look()
        return self.told

    def _edit(self) -> None:
        chance = random.Random(f"{self._seed} editor")
        while not self._over.wait(chance.uniform(0, self._rest)):
            for _ in range(chance.randint(1, _BURST)):
                self.tree.edit()

    def _stand(self, number: int, until: float) -> None:
        """Run one command after the other."""
        chance = random.Random(f"{self._seed} {number}")
        does, weights = zip(*self._doing(chance).items(), strict=True)
        while time.monotonic() < until:
            chance.choices(does, weights)[0]()

    def _doing(self, chance: random.Random) -> dict[Callable[[], None], float]:
        """Return what a process may do, and how often it does."""
        part = [sys.executable, "-m", "tests.concurrency.parts"]
        root = str(self.root)

        def word() -> str:
            return chance.choice(self.tree.words)

        def some() -> list[str]:
            return [word() for _ in range(_QUESTIONS)]

        def batch() -> None:
            self._ask("ask --batch", ["ask", "--batch", "-"], "".join(f'{{"query": "{one}"}}\n' for one in some()))

        def related() -> None:
            path = self.tree.file(word()).relative_to(self.root)
            self._command("related", ["related", f"{path}:6", "--json"], fine=(0, 1), absent=True)

        def swap() -> None:
            offered = chance.choice([*map(str, self._bundles), ""])
            self._process("adapter", [*part, "adapter", root, *filter(None, [offered])])

        return {
            lambda: self._ask("ask", ["ask", word(), "--json"]): 6,
            lambda: self._ask("ask --no-server", ["ask", word(), "--json", "--no-server"]): 4,
            batch: 2,
            lambda: self._reader([*part, "reader", root], some()): 2,
            related: 1,
            lambda: self._command("index", ["index", "--no-train"]): 3,
            lambda: self._process("tidier", [*part, "tidier", root]): 3,
            lambda: self._command("status", ["status", "--json"], fine=(0, 1)): 1,
            swap: 0.7,
            lambda: self._command("index --rebuild", ["index", "--rebuild", "--no-train"]): 0.4,
            self._clear: 0.15,
            lambda: self._command("serve --stop", ["serve", "--stop"], fine=(0, 1)): 0.4,
        }

    # How each is run and judged.

    def _clear(self) -> None:
        with self._telling:
            self._clearing += 1
        self._command("clear", ["clear", "--yes"], absent=True)
        with self._telling:
            self._clearing -= 1
            self._cleared = time.monotonic()

    def _was_cleared(self, begun: float) -> bool:
        """Tell whether an index has been removed since BEGUN, or may be about to."""
        with self._telling:
            return self._clearing > 0 or self._cleared >= begun

    def _ask(self, name: str, arguments: list[str], stdin: str = "") -> None:
        begun = time.monotonic()
        said = self._command(name, arguments, stdin, fine=(0, 1))
        self._judge(name, said, begun, time.monotonic())

    def _reader(self, command: list[str], questions: list[str]) -> None:
        begun = time.monotonic()
        said = self._process("reader", command, "\n".join(questions))
        self._judge("reader", said, begun, time.monotonic())

    def _judge(self, name: str, said: str, begun: float, ended: float) -> None:
        for line in said.splitlines():
            answer = json.loads(line)
            begun, ended = answer.get("begun", begun), answer.get("ended", ended)
            complaints = self.tree.wrong(answer, begun, ended)
            with self._telling:
                self.told.answers["partial" if answer["indexed"] < 1 else answer["state"]] += 1
                self.told.wrong += [f"{name} {answer['query']}: {complaint}" for complaint in complaints]

    def _command(self, name: str, arguments: list[str], stdin: str = "", **options: Any) -> str:
        return self._process(name, [str(Path(sys.executable).parent / "codesearch"), *arguments], stdin, **options)

    def _process(
        self, name: str, command: list[str], stdin: str = "", fine: tuple[int, ...] = (0,), absent: bool = False
    ) -> str:
        """Run COMMAND, again as long as it says that another process is at it; return what it prints.

        FINE are its exit codes but for an error. ABSENT tells whether it may say that something is not there.
        """
        begun = time.monotonic()
        while True:
            with self._telling:
                self.told.commands[name] += 1
            here = self.root if "-m" not in command else Path(__file__).parents[2]
            try:
                done = subprocess.run(
                    command,
                    cwd=here,
                    env=self._environment,
                    input=stdin,
                    capture_output=True,
                    text=True,
                    timeout=LONGEST,
                )
            except subprocess.TimeoutExpired as error:
                where = (error.stderr or b"").decode("utf-8", "replace")[-3000:]
                with self._telling:
                    self.told.stuck.append(f"{name}: no end after {LONGEST:.0f} s {where}")
                return ""
            if done.returncode in fine:
                return done.stdout
            if done.returncode == BUSY or any(words in done.stderr for words in _BUSY):
                with self._telling:
                    self.told.busy += 1
                if self._over.wait(0.5):
                    return ""
                continue
            missing = "there is no usable index" in done.stderr and self._was_cleared(begun)
            if not (missing or (absent and _is_absent(done.stderr))):
                with self._telling:
                    self.told.errors.append(f"{name}: exit {done.returncode}: {done.stderr.strip()[-1500:]}")
            return done.stdout

    # What is left.

    def _look(self) -> None:
        self._command("serve --stop", ["serve", "--stop"], fine=(0, 1))
        with Workspace.open(self.root) as workspace:
            index(workspace, workers=0)
            assert workspace.layout.folder.parent == self.root, workspace.notice
            settings = Settings(index_dir=self._folder / "fresh")
            with Workspace.open(self.root, settings, model=workspace.bundle) as afresh:
                index(afresh, workers=0)
                self.told.same = contents(workspace) == contents(afresh)
            answering = workspace.layout.current.read_text().strip()
            known = {"CURRENT", "lock", "log", ".gitignore", "training", "adaptation.json", SEAL, answering}
            there = (entry.name for entry in workspace.layout.folder.iterdir())
            self.told.left = sorted(name for name in there if name not in known and not name.startswith("model-"))


def _is_absent(said: str) -> bool:
    return any(words in said for words in ("there is no index", "is not indexed", "has no line", "no such file"))
