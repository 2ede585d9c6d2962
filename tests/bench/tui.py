"""What the interface costs, as a table: python -m tests.bench.tui SOURCE [--chunks 10000].

SOURCE is a folder of source code; it is only read, and files spread over it are copied to a temporary folder, about as
many as make the wanted number of chunks. First paint is the installed command in a terminal of its own, from its start
to the frame that can be typed in, with an index that is there. Key to list is the real application with its real index,
warm: from each key of some questions, typed at the pace of a person, to the painted list that answers what then stands
there. Both hold whatever else the machine does meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from textual import events
from textual.widgets import Input

from codesearch.settings import Settings
from codesearch.tui.app import CodesearchApp
from codesearch.tui.searched import folder
from codesearch.workspace import Workspace
from tests.bench.index import BYTES_PER_CHUNK, QUERIES, lay

PROMPT = b"sk this code"  # the cursor stands on the first letter
PACE = 0.12
"""Seconds between two keys of somebody who types fast."""
TIMES = 15
"""First paints."""


def first_paint(root: Path) -> tuple[float, float]:
    """Return the seconds from starting the command to its first frame, and how many of them it was computing."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    script = shutil.which("codesearch", path=str(Path(sys.executable).parent))
    assert script, "codesearch is not installed: pip install -e '.[dev]'"
    environment = os.environ | {"TERM": "xterm-256color"}
    started = time.perf_counter()
    command = [script, "tui", "--root", str(root)]
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while PROMPT not in said:
        said += os.read(ours, 1 << 16)
    took = time.perf_counter() - started
    ticks = Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    computed = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    program.send_signal(signal.SIGTERM)
    try:
        while os.read(ours, 1 << 16):
            pass
    except OSError:  # Linux says "input/output error" for the end
        pass
    program.wait()
    os.close(ours)
    return took, computed


async def keys(root: Path) -> tuple[list[float], list[float], int]:
    """Return the seconds from each key to its painted list, those that the searches took, and the number of chunks."""
    app = CodesearchApp(folder(root, Settings()))
    seconds: list[float] = []
    searches: list[float] = []
    async with app.run_test(size=(120, 40)):
        page = app.page
        while page.status.busy or not page.status.ready:
            await asyncio.sleep(0.05)
        line = page.query_one(Input)
        for warm, question in enumerate(QUERIES[:12]):
            line.value = ""
            await asyncio.sleep(0.3)
            for letter in question:
                painted = asyncio.Event()
                text = line.value + letter
                started = time.perf_counter()
                app.post_message(events.Key("space" if letter == " " else letter, letter))
                while not (page.asked.answer and page.asked.answer.question.text == text.strip()):
                    await asyncio.sleep(0.002)  # less would take time from what is measured
                page.call_after_refresh(painted.set)
                await painted.wait()
                if warm and letter != " ":
                    seconds.append(time.perf_counter() - started)
                    searches.append(page.asked.answer.ms / 1000)
                await asyncio.sleep(max(0.0, PACE - (time.perf_counter() - started)))
        chunks = page.status.chunks
    app.reader.close()
    app.session.close()
    return seconds, searches, chunks


def show(name: str, seconds: list[float], target: str = "") -> None:
    ordered = sorted(value * 1000 for value in seconds)
    p95 = ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]
    print(f"  {name:<24}{len(ordered):>6}{statistics.median(ordered):>10.0f}{p95:>10.0f}   {target}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--chunks", type=int, default=10_000)
    arguments = parser.parse_args()
    os.environ.pop("CODESEARCH_HOME", None)
    with tempfile.TemporaryDirectory(prefix="codesearch-bench-") as name:
        root, os.environ["XDG_STATE_HOME"] = Path(name, "code"), str(Path(name, "state"))
        lay(arguments.source, root, arguments.chunks * BYTES_PER_CHUNK)
        with Workspace.open(root) as workspace:
            for _ in workspace.index():
                pass
        paints = [first_paint(root) for _ in range(TIMES)][1:]
        seconds, searches, chunks = asyncio.run(keys(root))
        print(
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, {chunks:,} chunks"
        )
        print(f"\n  {'ms':<24}{'times':>6}{'median':>10}{'p95':>10}")
        show("first paint", [took for took, _ in paints], "≤ 600")
        show("  of that, computing", [computed for _, computed in paints])
        show("key to list", seconds, "≤ 50 at p95")
        show("  of that, the search", searches)


if __name__ == "__main__":
    main()
