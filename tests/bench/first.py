"""How long answers take while a first index is being built: python -m tests.bench.first SOURCE [stdio] [mcp] [ask].

Nothing is written into SOURCE, whose index goes to a temporary folder. Each way of asking starts from nothing: a
question every so often, one at a time, from the start of the process to a fresh and complete index. Printed are the
first answer's milliseconds, the median, the slowest, how many took over two seconds, and what indexing took in all.
The clients are as slim as they can be: what they took of two cores would be counted as the server's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.index import QUERIES

APART = 0.25
"""Seconds between an answer and the next question."""
SLOW = 2.0
"""Seconds within which an answer is promised."""
COMMAND = [sys.executable, "-P", "-m", "codesearch.cli"]

Object = dict[str, Any]
Ask = Callable[[str], tuple[bool, float]]
"""Asks a question; returns whether the index is complete and fresh, and how much of it there is."""


@contextmanager
def talking(words: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command to talk to over its pipes."""
    with subprocess.Popen(
        [*COMMAND, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/"
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(60)


@contextmanager
def stdio(root: Path, environment: dict[str, str]) -> Iterator[Ask]:
    """`codesearch serve --stdio`."""
    with talking(["serve", "--stdio", "--root", str(root)], environment) as process:
        assert process.stdin and process.stdout
        into, out = process.stdin, process.stdout
        number = 0

        def request(method: str, **params: object) -> Object:
            nonlocal number
            number += 1
            text = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
            into.write(b"Content-Length: %d\r\n\r\n%b" % (len(text), text))
            into.flush()
            while True:
                length = int(out.readline().split(b":")[1])
                out.readline()
                said: Object = json.loads(out.read(length))
                if said.get("id") == number:
                    result: Object = said["result"]
                    return result

        request("initialize", protocolVersion=1)

        def ask(query: str) -> tuple[bool, float]:
            said = request("ask", query=query)
            return said["state"] == "fresh" and said["indexed"] == 1, said["indexed"]

        yield ask


@contextmanager
def mcp(root: Path, environment: dict[str, str]) -> Iterator[Ask]:
    """`codesearch mcp`."""
    with talking(["mcp", "--root", str(root)], environment) as process:
        assert process.stdin and process.stdout
        into, out = process.stdin, process.stdout
        number = 0

        def request(method: str, params: Object) -> Object:
            nonlocal number
            number += 1
            into.write(
                json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"
            )
            into.flush()
            while True:
                answer: Object = json.loads(out.readline())
                if answer.get("id") == number:
                    result: Object = answer["result"]
                    return result

        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        request("initialize", hello)
        into.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')

        def ask(query: str) -> tuple[bool, float]:
            said = request("tools/call", {"name": "search", "arguments": {"query": query}})
            head = said["content"][0]["text"].splitlines()[0]
            share = head.rpartition("indexed: ")[2].removesuffix(" %")
            return head == "state: fresh; indexed: 100 %", int(share) / 100

        yield ask


@contextmanager
def command(root: Path, environment: dict[str, str]) -> Iterator[Ask]:
    """`codesearch ask`, a process a question."""

    def ask(query: str) -> tuple[bool, float]:
        words = ["ask", query, "--json", "--root", str(root)]
        done = subprocess.run([*COMMAND, *words], capture_output=True, env=environment, cwd="/")
        assert done.returncode in (0, 1), done.stderr
        said = json.loads(done.stdout)
        return said["state"] == "fresh" and said["indexed"] == 1, said["indexed"]

    try:
        yield ask
    finally:
        subprocess.run([*COMMAND, "serve", "--stop", "--root", str(root)], capture_output=True, env=environment)


def watch(ask: Ask, began: float, limit: float) -> Object:
    """Ask until the index is complete, or for LIMIT seconds."""
    took: list[float] = []
    slowest = (0.0, 0.0)
    for number in range(100_000):
        asked = time.perf_counter()
        complete, share = ask(QUERIES[number % len(QUERIES)])
        took.append(time.perf_counter() - asked)
        slowest = max(slowest, (took[-1], share))
        if complete or time.perf_counter() - began > limit:
            break
        time.sleep(APART)
    return {
        "first ms": round(took[0] * 1000),
        "median ms": round(statistics.median(took) * 1000),
        "95 of 100 ms": round(sorted(took)[int(len(took) * 0.95)] * 1000),
        "slowest ms": round(slowest[0] * 1000),
        "at": f"{slowest[1]:.0%}",
        f"over {SLOW:g} s": f"{sum(one > SLOW for one in took)} of {len(took)}",
        "indexed in s": round(time.perf_counter() - began, 1),
    }


WAYS = {"stdio": stdio, "mcp": mcp, "ask": command}


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("ways", nargs="*", help=f"of {', '.join(WAYS)}; all if none is named")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a way is given up")
    said = parser.parse_args()
    for name in said.ways or WAYS:
        with tempfile.TemporaryDirectory(prefix="codesearch-bench-") as folder:
            Path(folder, "run").mkdir(mode=0o700)
            environment = os.environ | {"CODESEARCH_HOME": f"{folder}/index", "XDG_RUNTIME_DIR": f"{folder}/run"}
            environment |= {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": f"{folder}/config", "CODESEARCH_NO_SERVER": ""}
            began = time.perf_counter()
            with WAYS[name](said.source.resolve(), environment) as ask:
                figures = watch(ask, began, said.limit)
            print(f"{name:6} " + ", ".join(f"{what} {value}" for what, value in figures.items()), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
