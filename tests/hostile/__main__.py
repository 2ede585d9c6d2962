"""The long runs: `python -m tests.hostile grammars`, `files` or `fuzz`; each ends with 1 if anything broke.

grammars  every unit of `grammars.UNITS` by the megabyte in every language, each in a process of its own (an hour)
files     a hundred thousand files of a line each, indexed by the command, and one of them asked for
fuzz      the tests that mutate, two hundred times each
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.corpus import function, tiny_files
from tests.hostile.grammars import EXTENSIONS, UNITS

SECONDS = 12
MEGABYTES = 450
"""What parsing is granted for a megabyte, what it may exceed that by between two looks, and what cutting takes."""

CEILING = 4 << 30
"""Bytes of addresses that one process may have, lest a fault in a grammar take the machine with it."""

ONE = f"""
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, ({CEILING}, {CEILING}))
from codesearch.chunk import chunk
from codesearch.languages import LANGUAGES, grammar
from tests.hostile.grammars import text
language, unit, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
if language in LANGUAGES:
    grammar(language)
source = text(unit, size, language)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, began = peak(), time.process_time()
pieces = chunk("file", source, language)
assert "".join(piece.text for piece in pieces) == source
print(json.dumps([round(time.process_time() - began, 2), peak() - before]))
"""


def grammars(size: int) -> bool:
    """Cut every unit in every language; print what took most, and return whether all stayed within bounds."""
    rows = []
    broken = False
    for language in EXTENSIONS:
        for unit in UNITS:
            command = [sys.executable, "-c", ONE, language, unit, str(size)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            except subprocess.TimeoutExpired:
                done = subprocess.CompletedProcess(command, -9, "", "no end in two minutes")
            if done.returncode:
                broken = True
                print(f"{language}, {unit}: ended with {done.returncode}\n{done.stderr[-500:]}", flush=True)
                continue
            seconds, megabytes = json.loads(done.stdout)
            rows.append((seconds, megabytes, language, unit))
            if seconds > SECONDS or megabytes > MEGABYTES:
                broken = True
                print(f"{language}, {unit}: {seconds} s, {megabytes} MB", flush=True)
    for title, key in (("longest", 0), ("largest", 1)):
        print(f"{title}, of {len(rows)}:")
        for seconds, megabytes, language, unit in sorted(rows, key=lambda row: -row[key])[:8]:
            print(f"  {seconds:6.2f} s  {megabytes:5} MB  {language}, {unit}")
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
    given = parser.parse_args()
    runs = {"grammars": (grammars, 1_000_000), "files": (files, 100_000), "fuzz": (fuzz, 200)}
    run, much = runs[given.what]
    sys.exit(0 if run(given.much or much) else 1)


if __name__ == "__main__":
    main()
