"""The long runs: `python -m tests.hostile grammars`, `files` or `fuzz`; each ends with 1 if anything broke.

grammars  every unit of `grammars.UNITS` by the megabyte in every language, each in a process of its own: an hour, or
          less for some --languages
files     a hundred thousand files of a line each, indexed by the command, and one of them asked for
fuzz      the tests that mutate, two hundred times each
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from operator import attrgetter
from pathlib import Path

from tests.hostile.corpus import function, tiny_files
from tests.hostile.grammars import EXTENSIONS, UNITS, cost

SECONDS = 12
MEGABYTES = 500
"""What parsing is granted for a megabyte, what may be exceeded before it is ended for that, and what Python takes."""
HERE = 100
"""Megabytes by which the process may grow that has a text parsed: by its pieces and its chunks."""


def grammars(size: int, languages: Iterable[str]) -> bool:
    """Cut every unit in each of the LANGUAGES; print what took most, and return whether all stayed within bounds."""
    rows = []
    broken = False
    for language in languages:
        for unit in UNITS:
            try:
                one = cost(language, unit, size)
            except subprocess.SubprocessError as error:
                broken = True
                print(f"{language}, {unit}: {error}\n{(error.stderr or '')[-500:]}", flush=True)
                continue
            rows.append((one, f"{language}, {unit}"))
            if one.seconds > SECONDS or one.apart > MEGABYTES or one.here > HERE:
                broken = True
                print(f"{language}, {unit}: {one}", flush=True)
    for title, key in (("longest", attrgetter("seconds")), ("largest", attrgetter("apart"))):
        print(f"{title}, of {len(rows)}, {sum(one.given_up for one, _ in rows)} given up:")
        for one, name in sorted(rows, key=lambda row: -key(row[0]))[:8]:
            print(f"  {one.seconds:6.2f} s  {one.here:5} MB here  {one.apart:5} MB apart  {name}")
    return not broken


def files(count: int) -> bool:
    """Index COUNT files of a line each by the command; print what it took, and return whether one is found."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tiny_files(root, count)
        (root / "innocent.py").write_text(function("innocence"))
        script = Path(sys.executable).with_name("codesearch")
        environment = os.environ | {"CODESEARCH_NO_SERVER": "1", "CODESEARCH_FIRST_WAIT": "1h"}
        for arguments in (("index", "--no-train"), ("index", "--no-train"), ("ask", "innocence of the stars")):
            began = time.perf_counter()
            done = subprocess.run([script, *arguments], cwd=root, env=environment, capture_output=True, text=True)
            print(f"codesearch {arguments[0]}: {time.perf_counter() - began:.1f} s; {done.stderr.strip()[-200:]}")
            if done.returncode:
                return False
        return done.stdout.startswith("innocent.py:1:")


def fuzz(rounds: int) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "tests/hostile/test_fuzz.py", "tests/hostile/test_bundle.py"]
    return not subprocess.run(command, env=os.environ | {"HOSTILE_ROUNDS": str(rounds)}).returncode


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("what", choices=("grammars", "files", "fuzz"))
    parser.add_argument("--much", type=int, help="characters of a file, files, or rounds")
    parser.add_argument("--languages", nargs="+", default=EXTENSIONS, choices=EXTENSIONS, metavar="NAME")
    given = parser.parse_args()
    runs = {
        "grammars": (partial(grammars, languages=given.languages), 1_000_000),
        "files": (files, 100_000),
        "fuzz": (fuzz, 200),
    }
    run, much = runs[given.what]
    sys.exit(0 if run(given.much or much) else 1)


if __name__ == "__main__":
    main()
