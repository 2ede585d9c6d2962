"""What whole commands on a store take, each in a process of its own, and answered by the store's server.

Asked are comments and docstrings that stand in the code of the store.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.bench.fleet.vectors import questions

SCRIPT = str(Path(sys.executable).parent / "codesearch")
CASES: dict[str, tuple[str, ...]] = {
    "everything": (),
    "one language": ("--lang", "python"),
    "globs": ("-g", "*.py", "-g", "!tests/"),
    "with lines of context": ("-C", "3"),
}


def table(store: str, count: int) -> None:
    """Print seconds a command, with the server and without, and whether they print the same."""
    asked = questions(store, count)
    with tempfile.TemporaryDirectory() as runtime:
        environ = os.environ | {"XDG_RUNTIME_DIR": runtime, "CODESEARCH_NO_SERVER": ""}

        def run(*words: str) -> tuple[float, str]:
            started = time.perf_counter()
            done = subprocess.run([SCRIPT, *words, "--store", store], env=environ, capture_output=True, text=True)
            assert done.returncode in (0, 1), done.stderr
            return time.perf_counter() - started, done.stdout

        def compare(name: str, commands: list[tuple[str, ...]]) -> None:
            warm, alone = ([run(*words, *more) for words in commands] for more in ((), ("--no-server",)))
            same = sum(one[1] == other[1] for one, other in zip(warm, alone, strict=True))
            took = (median(seconds for seconds, _ in answers) for answers in (warm, alone))
            print(
                f"{name:22} warm {next(took):.2f} s  alone {next(took):.2f} s  same {same} of {len(commands)}",
                flush=True,
            )

        with _serving(store, environ):
            for name, options in CASES.items():
                compare(name, [("ask", one, *options) for one in asked])
            found = [
                json.loads(run("ask", one, "--json", "-n", "1", "--min-score", "0")[1])["results"] for one in asked
            ]
            places = [f"{hit['repository']}/{hit['path']}:{hit['start_line']}" for hits in found for hit in hits]
            compare("related", [("related", place) for place in places])
            status = json.loads(run("serve", "--status", "--json")[1])
            print(f"the server answered {status['answered']:,}, and takes {status['bytes'] / 1e6:,.0f} MB")


@contextmanager
def _serving(store: str, environ: dict[str, str]) -> Iterator[None]:
    """Let a server of STORE run, and have answered something."""
    with subprocess.Popen([SCRIPT, "serve", "--store", store], env=environ, stderr=subprocess.DEVNULL) as server:
        try:
            look = [SCRIPT, "serve", "--status", "--store", store]
            while subprocess.run(look, env=environ, capture_output=True).returncode:
                time.sleep(0.2)
            subprocess.run([SCRIPT, "ask", "warm up", "--store", store, "-q"], env=environ)
            yield
        finally:
            server.terminate()
