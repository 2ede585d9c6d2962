"""codesearch beside semble and ripgrep, in one run: python -m tests.bench.peers SOURCE [--semble COMMAND].

SOURCE is a folder of source code, such as some checked-out repositories; files spread over it are copied to temporary
git repositories of about as many chunks as `--sizes` says. For each of these every tool does the same in turn, as whole
processes: it indexes from nothing, answers when nothing has changed, and when one file has. A warm process is then
asked as each tool's own library is. Times are medians; CPU seconds and memory are of the process and all it started
(pages that they share count once), so that they mean something even where the machine has other things to do.

semble indexes when it is first asked, so its figure has one question in it. It is asked for all that it can index
(`--content all`), as codesearch does by default. Where its own model can not be downloaded it is given codesearch's as
one, and the table says so: it then does the same work, and its answers are not its own. Without `--semble` it is
installed into a virtual environment in the temporary folder.

Prints a table in Markdown and writes a plot. `--results FILE` keeps the figures; sizes that are in it already are not
measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from codesearch.files import FileEntry, scan
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from tests.bench.index import BYTES_PER_CHUNK, QUERIES, Memory, age, lay, measured
from tests.bench.plot import Panel, figure

SEMBLE: Final = "semble==0.7.0"
SCRIPT: Final = str(Path(sys.executable).parent / "codesearch")
ENOUGH: Final = 30_000
"""Chunks that are indexed from nothing by each tool, at least, in repeated rounds of smaller repositories."""
ASKED: Final = 3
"""Times that each question of a new process is measured."""

_WARM: Final = """
import json, statistics, sys, time
from semble import SembleIndex
from semble.types import ContentType
index = SembleIndex.from_path(sys.argv[1], content=list(ContentType))
queries = json.loads(sys.argv[2])
taken = []
for query in queries + queries * 3:
    started = time.perf_counter()
    index.search(query, top_k=10)
    taken.append(time.perf_counter() - started)
print(json.dumps({"chunks": index.stats.total_chunks, "warm": statistics.median(taken[len(queries):]) * 1000}))
"""


@dataclass
class Figures:
    """What one tool takes for one repository; 0 where it does nothing of the kind."""

    tool: str
    chunks: int = 0
    files: int = 0
    lines: int = 0
    source: int = 0
    """Bytes of what codesearch indexes."""
    cold: float = 0.0
    """Seconds to index from nothing, the whole command."""
    cpu: float = 0.0
    """Seconds of all cores for the same."""
    peak: int = 0
    """Bytes of memory, at most, while it does."""
    index: int = 0
    """Bytes of the index, its model apart."""
    nothing: float = 0.0
    """Milliseconds to bring an index up to date when nothing has changed, the whole command."""
    ask: float = 0.0
    """Milliseconds until a new process has answered, nothing changed."""
    changed: float = 0.0
    """Milliseconds until a new process has answered, one file changed."""
    warm: float = 0.0
    """Milliseconds until a warm process has answered."""


@dataclass
class Run:
    """One size, and what each tool takes for it."""

    size: int
    machine: str
    note: str
    figures: list[Figures] = field(default_factory=list)


class Command:
    """Runs the commands of one tool on one repository."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self.environment = os.environ | environment

    def run(self, *command: str) -> tuple[float, float, int]:
        """Run COMMAND; return its wall seconds, the CPU seconds of all its processes and the most memory they had."""
        before = os.times()
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=self.root, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        memory = Memory(process.pid)
        memory.start()
        assert process.stderr is not None
        said = process.stderr.read()
        code = process.wait()
        wall = time.perf_counter() - started
        after = os.times()
        if code not in (0, 1):
            raise SystemExit(f"{' '.join(command)} ended with {code}: {said.decode()[-500:]}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return wall, cpu, memory.peak


def median_ms(seconds: Callable[[], float]) -> float:
    """Return the median of what SECONDS returns, in milliseconds."""
    return statistics.median(seconds() for _ in range(ASKED)) * 1000


class Ours(Command):
    """codesearch."""

    name = "codesearch"

    def __init__(self, root: Path) -> None:
        super().__init__(root, CODESEARCH_NO_SERVER="1")

    def forget(self) -> None:
        shutil.rmtree(self.root / ".codesearch", ignore_errors=True)

    def build(self) -> tuple[float, float, int]:
        return self.run(SCRIPT, "index", "--no-train")

    def ask(self) -> float:
        """Return the wall seconds of a question in a new process."""
        return self.run(SCRIPT, "ask", QUERIES[0])[0]

    def rest(self, figures: Figures) -> None:
        """Add what only a warm process, and its library, tells."""
        said = subprocess.run(
            [SCRIPT, "status", "--json"], cwd=self.root, env=self.environment, capture_output=True, check=True
        )
        status = json.loads(said.stdout)
        figures.chunks, figures.index = status["chunks"], status["bytes"]
        figures.nothing = median_ms(lambda: self.build()[0])
        figures.warm = measured("ask", self.root)["p50 ms"]


class Semble(Command):
    """semble, with a cache of its own."""

    name = "semble"

    def __init__(self, root: Path, command: str, model: str, cache: Path) -> None:
        environment = {"SEMBLE_CACHE_LOCATION": str(cache)} | ({"SEMBLE_MODEL_NAME": model} if model else {})
        super().__init__(root, **environment)
        self.command, self.cache = command, cache

    def forget(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)

    def build(self) -> tuple[float, float, int]:
        return self.run(self.command, "search", QUERIES[0], ".", "--content", "all")

    def ask(self) -> float:
        return self.build()[0]

    def rest(self, figures: Figures) -> None:
        python = str(Path(self.command).parent / "python")
        said = subprocess.run(
            [python, "-c", _WARM, ".", json.dumps(QUERIES)],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            check=True,
        )
        warm = json.loads(said.stdout)
        figures.chunks, figures.warm = warm["chunks"], warm["warm"]
        figures.index = sum(file.stat().st_size for file in self.cache.rglob("*") if file.is_file())


def semble_command(work: Path) -> str:
    """Install semble into an environment in WORK; return its command."""
    place = work / "semble"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", SEMBLE], check=True, stdout=subprocess.DEVNULL)
    return str(place / "bin" / "semble")


def semble_model(command: str, work: Path) -> tuple[str, str]:
    """Return the model to give to semble, empty for its own, and what is to be said of it."""
    (work / "one").mkdir()
    (work / "one" / "a.py").write_text("def f():\n    return 1\n")
    environment = os.environ | {"SEMBLE_CACHE_LOCATION": str(work / "try"), "HF_HUB_DOWNLOAD_TIMEOUT": "10"}
    tried = subprocess.run([command, "search", "f", str(work / "one")], env=environment, capture_output=True)
    if tried.returncode == 0:
        return "", "semble with its own model"
    return str(_as_model2vec(work / "model")), "semble with codesearch's table as its model, for its own was not there"


def _as_model2vec(folder: Path) -> Path:
    """Write the base retriever as semble's library reads models: one weighted vector a piece."""
    import onnx
    from safetensors.numpy import save_file

    from codesearch.bundle import MODEL, TOKENIZER
    from revela_train.export import stored

    folder.mkdir()
    vectors, weights = stored(onnx.load(str(base_bundle() / MODEL)))
    save_file({"embeddings": vectors * weights[:, None]}, folder / "model.safetensors")
    shutil.copyfile(base_bundle() / TOKENIZER, folder / TOKENIZER)
    config = {"model_type": "model2vec", "normalize": True, "hidden_dim": vectors.shape[1]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def repository(source: Path, root: Path, chunks: int) -> None:
    """Lay a git repository of about CHUNKS chunks of SOURCE at ROOT, of files that are not young."""
    lay(source, root, chunks * BYTES_PER_CHUNK)
    age(root)
    for words in (("init", "-q"), ("add", "-A")):
        subprocess.run(["git", "-C", str(root), *words], check=True, stdout=subprocess.DEVNULL)


def changes(root: Path) -> Generator[None, None, None]:
    """Change one file of ROOT each time it is asked; put it back at the end."""
    target = max(root.rglob("*.py"), key=lambda file: (10_000 < file.stat().st_size < 30_000, file.as_posix()))
    text = target.read_text()
    try:
        for i in range(1000):
            target.write_text(text.replace("def ", f"def changed_{i}_", 1))
            yield
    finally:
        target.write_text(text)


def measure(root: Path, tools: list[Ours | Semble], size: int, say: Callable[[str], None]) -> list[Figures]:
    """Return what each of TOOLS takes for ROOT, each round in turn."""
    entries = [entry for entry in scan(root, Settings()) if isinstance(entry, FileEntry)]
    source = sum(entry.size for entry in entries)
    lines = sum(entry.absolute.read_bytes().count(b"\n") for entry in entries)
    all_figures = [Figures(tool.name, files=len(entries), lines=lines, source=source) for tool in tools]
    rounds: dict[str, list[tuple[float, float, int]]] = {tool.name: [] for tool in tools}
    for _ in range(min(max(ENOUGH // size, 1), 5)):
        for tool in tools:
            tool.forget()
            rounds[tool.name].append(tool.build())
            say(f"{size:,}: {tool.name} {rounds[tool.name][-1][0]:.1f} s")
    edits = changes(root)
    for tool, figures in zip(tools, all_figures, strict=True):
        walls, cpus, peaks = zip(*rounds[tool.name], strict=True)
        figures.cold, figures.cpu, figures.peak = statistics.median(walls), statistics.median(cpus), max(peaks)
        figures.ask = median_ms(tool.ask)
        tool.rest(figures)
        figures.changed = median_ms(partial(after_change, tool, edits))
    edits.close()
    if rg := shutil.which("rg"):
        plain = Command(root)
        found = median_ms(lambda: plain.run(rg, "-n", "checksum")[0])
        all_figures.append(Figures("ripgrep", files=len(entries), lines=lines, source=source, ask=found, changed=found))
    return all_figures


def after_change(tool: Ours | Semble, edits: Iterator[None]) -> float:
    """Return the wall seconds of a question once the next of EDITS is made."""
    next(edits)
    return tool.ask()


def table(runs: list[Run]) -> str:
    """Return the figures in Markdown."""
    rows = [
        "| | chunks | index from nothing | CPU | peak memory | index by source"
        " | a new process answers | after a change | a warm one answers |",
        "|" + "---|" * 9,
    ]
    for run in runs:
        one = run.figures[0]
        rows.append(f"| *{one.lines:,} lines, {one.files:,} files, {one.source / 1e6:.1f} MB* |" + " |" * 8)
        rows += [_row(figures) for figures in run.figures]
    return "\n".join(rows)


def _row(f: Figures) -> str:
    cells = [
        f.tool,
        f"{f.chunks:,}" if f.chunks else "",
        f"{f.cold:.1f} s" if f.cold else "",
        f"{f.cpu:.1f} s" if f.cpu else "",
        f"{f.peak / 1e6:,.0f} MB" if f.peak else "",
        f"{f.index / f.source:.2f}" if f.index else "",
        *(f"{value:,.0f} ms" if value else "" for value in (f.ask, f.changed, f.warm)),
    ]
    return "| " + " | ".join(cells) + " |"


def plot(runs: list[Run]) -> str:
    """Return the growth of four costs with size, as SVG."""
    asked: list[tuple[str, str, Callable[[Figures], float]]] = [
        ("Index from nothing", "CPU seconds", lambda f: f.cpu),
        ("Peak memory while indexing", "MB", lambda f: f.peak / 1e6),
        ("A new process answers", "ms", lambda f: f.ask),
        ("A warm process answers", "ms", lambda f: f.warm),
    ]
    panels = []
    for title, unit, value in asked:
        lines: dict[str, list[tuple[float, float]]] = {}
        for run in runs:
            chunks = run.figures[0].chunks
            for figures in run.figures:
                if value(figures):
                    lines.setdefault(figures.tool, []).append((chunks, value(figures)))
        panels.append(Panel(title, "chunks of codesearch", unit, lines))
    return figure("What indexing and asking cost, by the size of the repository", panels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="chunks, about")
    parser.add_argument("--semble", default="", help="its command; by default it is installed for this run")
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_name("peers.svg"))
    parser.add_argument("--results", type=Path, help="a file that keeps the figures")
    arguments = parser.parse_args()
    os.environ.pop("CODESEARCH_HOME", None)
    runs = _kept(arguments.results)
    wanted = [size for size in arguments.sizes if size not in {run.size for run in runs}]

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="codesearch-bench-") as name:
        work = Path(name)
        command = (arguments.semble or semble_command(work)) if wanted else ""
        model, note = semble_model(command, work) if wanted else ("", "")
        for size in wanted:
            root = work / str(size)
            repository(arguments.source, root, size)
            machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}"
            tools: list[Ours | Semble] = [Ours(root), Semble(root, command, model, work / "cache")]
            runs.append(Run(size, machine, note, measure(root, tools, size, say)))
            shutil.rmtree(root)
            if arguments.results:
                arguments.results.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    runs.sort(key=lambda run: run.size)
    print(table(runs))
    for run in runs:
        print(f"\n{run.size:,}: {run.machine}; {run.note}")
    arguments.plot.write_text(plot(runs))


def _kept(file: Path | None) -> list[Run]:
    if file is None or not file.exists():
        return []
    kept: list[dict[str, Any]] = json.loads(file.read_text())
    return [Run(**(run | {"figures": [Figures(**one) for one in run["figures"]]})) for run in kept]


if __name__ == "__main__":
    main()
