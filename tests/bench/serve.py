"""What asking costs, the whole process, with and without a warm server: python -m tests.bench.serve SOURCE.

SOURCE is a folder of source code; files of it are copied to a temporary folder, as `tests.bench.index` does it, and
made a git repository. Every time is from starting the command to its end, a median; `rg`, where it is installed,
searches the same folder for a word, and `semble`, where it is and has its model, answers the first question. The
clients at last each ask 125 times; an answer that is not that of a process of its own counts as wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.index import BYTES_PER_CHUNK, QUERIES, age, lay, show

CLIENTS = 8
ASKED = 1000
"""Questions of all clients together."""
SETTLED = 3.0
"""Seconds for a server to give back what it has done with."""
IDLE = 20.0
"""Seconds over which an idle server is watched."""
SCRIPT = str(Path(sys.executable).parent / "codesearch")


class Bench:
    """Runs commands on one folder."""

    def __init__(self, root: Path, runtime: Path) -> None:
        self.root = root
        self.environment = os.environ | {"XDG_RUNTIME_DIR": str(runtime), "CODESEARCH_NO_SERVER": ""}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)

    def ask(self, query: str, *options: str) -> str:
        done = self.run(SCRIPT, "ask", query, *options)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def median(self, times: int, work: Callable[[int], object]) -> float:
        """Return the median in milliseconds of WORK, done TIMES times."""
        taken = []
        for i in range(times):
            started = time.perf_counter()
            work(i)
            taken.append(time.perf_counter() - started)
        return statistics.median(taken) * 1000

    def server(self) -> int:
        """Return the process of the server, once it answers."""
        import json

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            said = json.loads(self.run(SCRIPT, "serve", "--status", "--json").stdout)
            if said["running"]:
                return int(said["pid"])
            time.sleep(0.1)
        raise SystemExit("no server was started")


def memory(pid: int) -> tuple[float, float]:
    """Return the resident and the proportional megabytes of a process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split()[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    return sizes["Rss:"] * 1024 / 1e6, sizes["Pss:"] * 1024 / 1e6


def used(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def crowd(bench: Bench, expected: dict[str, str]) -> tuple[int, float]:
    """Let CLIENTS ask at once; return how many answers were lost or wrong, and how many came a second."""
    wrong: list[str] = []
    queries = list(expected)

    def client(number: int) -> None:
        for i in range(ASKED // CLIENTS):
            query = queries[(number + i) % len(queries)]
            if bench.ask(query) != expected[query]:
                wrong.append(query)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wrong), ASKED / (time.perf_counter() - started)


def measure(bench: Bench) -> dict[str, float]:
    figures: dict[str, float] = {}
    if rg := shutil.which("rg"):
        figures["rg, one word, ms"] = bench.median(11, lambda _: bench.run(rg, "-n", "checksum"))
    if semble := shutil.which("semble"):

        def other(_: int) -> None:
            assert bench.run(semble, "search", QUERIES[0], ".").returncode == 0, "semble lacks its model"

        other(0)  # builds its index
        figures["semble, its index cached, ms"] = bench.median(5, other)
    figures["--help ms"] = bench.median(11, lambda _: bench.run(SCRIPT, "--help"))
    figures["ask --help ms"] = bench.median(11, lambda _: bench.run(SCRIPT, "ask", "--help"))
    figures["ask, no server, ms"] = bench.median(5, lambda i: bench.ask(QUERIES[i], "--no-server"))
    expected = {query: bench.ask(query, "--no-server") for query in QUERIES}
    figures["first ask, ms"] = bench.median(1, lambda _: bench.ask(QUERIES[0]))
    pid = bench.server()
    bench.ask(QUERIES[0])
    figures["ask, server, ms"] = bench.median(60, lambda i: bench.ask(QUERIES[i % len(QUERIES)]))
    target = max(bench.root.rglob("*.py"), key=lambda file: (10_000 < file.stat().st_size < 30_000, file.as_posix()))
    text = target.read_text()

    def changed(i: int) -> None:
        target.write_text(text.replace("def ", f"def changed_{i}_", 1))
        bench.ask(QUERIES[0])

    figures["file changed, ask, server, ms"] = bench.median(7, changed)
    target.write_text(text)
    bench.ask(QUERIES[0])
    figures["wrong or lost of 1,000"], figures["from 8 clients, answers/s"] = crowd(bench, expected)
    figures["server, busy, resident MB"], _ = memory(pid)
    time.sleep(SETTLED)
    before = used(pid)
    time.sleep(IDLE)
    figures["server, idle CPU %"] = (used(pid) - before) / IDLE * 100
    figures["server, resident MB"], figures["server, proportional MB"] = memory(pid)
    assert bench.server() == pid, "the server was replaced on the way"
    return figures


TARGETS = {
    "--help ms": "≤ 150",
    "ask, no server, ms": "≤ 2,500",
    "ask, server, ms": "≤ 150",
    "wrong or lost of 1,000": "0",
    "server, resident MB": "≤ 300",
    "server, idle CPU %": "≤ 1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--chunks", type=int, default=10_000)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    os.environ.pop("CODESEARCH_HOME", None)
    with tempfile.TemporaryDirectory(prefix="codesearch-bench-") as name:
        work = Path(name)
        root = work / "root"
        lay(arguments.source, root, arguments.chunks * BYTES_PER_CHUNK)
        age(root)
        for words in (("init", "-q"), ("add", "-A")):
            subprocess.run(["git", "-C", str(root), *words], check=True)
        runtime = work / "run"
        runtime.mkdir(mode=0o700)
        bench = Bench(root, runtime)
        indexed = bench.run(SCRIPT, "index", "--no-train")
        assert indexed.returncode == 0, indexed.stderr
        try:
            show(indexed.stderr.strip().splitlines()[-1], measure(bench), TARGETS)
        finally:
            bench.run(SCRIPT, "serve", "--stop")


if __name__ == "__main__":
    main()
