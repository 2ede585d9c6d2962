"""What the measures in this folder share: the command run over repositories, and figures kept by commit.

A measure asks questions whose answers are known. For each repository the installed command builds an index in a folder
of its own and answers all questions in one process; nothing is imported from it but the scoring.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from codesearch.bundle import load
from codesearch.eval.relevance import DEPTH, Place, Score, Target, score
from codesearch.paths import base_bundle
from codesearch.types import Span

RESULTS: Final = Path(__file__).parent / "results"
CHECKOUT: Final = Path(__file__).parents[2]
MODES: Final = ("fused", "dense", "text")


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of the judgements' repositories.json, and where it lies here."""

    name: str
    root: str
    """The folder below it that the benchmark indexes; empty for all of it."""
    folder: Path

    def scope(self, scope: str) -> tuple[Path, str]:
        """Return the folder to index and what to put before its paths to make them relative to the repository."""
        if scope == "checkout" or not self.root:
            return self.folder, ""
        return self.folder / self.root, f"{self.root}/"


@dataclass(frozen=True, slots=True)
class Question:
    """One judged query."""

    query: str
    category: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what codesearch answered."""

    repository: Repository
    question: Question
    rows: tuple[Place, ...]
    """Paths relative to the repository."""
    ms: float

    @property
    def score(self) -> Score:
        """The figures of this answer."""
        return score(self.rows, self.question.targets)

    def as_line(self) -> str:
        """Return the answer as the public benchmark's tools and our judges' score.py read it."""
        rows = [{"path": r.path, "start_line": r.span.start_line, "end_line": r.span.end_line} for r in self.rows]
        return json.dumps({"repo": self.repository.name, "query": self.question.query, "ms": self.ms, "results": rows})


def repositories(judgements: Path, folder: Path, names: list[str]) -> list[Repository]:
    """Return the repositories that JUDGEMENTS lists (or those of them called NAMES), which must lie in FOLDER."""
    listed = json.loads((judgements / "repositories.json").read_text(encoding="utf-8"))
    found = [
        Repository(said["name"], said["root"].strip("/"), folder / said["name"])
        for said in listed
        if not names or said["name"] in names
    ]
    missing = [r.name for r in found if not r.folder.is_dir()]
    if missing or not found or len(found) < len(names):
        sys.exit(f"not in {folder}, or not in {judgements / 'repositories.json'}: {missing or names}")
    return found


def run(
    repository: Repository, asked: list[Question], scope: str, options: list[str], environment: dict[str, str]
) -> list[Answered]:
    """Index REPOSITORY and answer ASKED, each by one run of the command."""
    root, prefix = repository.scope(scope)
    _codesearch(["index", str(root), "--no-train"], environment)
    lines = "".join(json.dumps({"query": q.query}) + "\n" for q in asked)
    arguments = ["ask", "--batch", "-", "--root", str(root), "--limit", str(DEPTH), *options]
    said = [json.loads(line) for line in _codesearch(arguments, environment, lines, but=(1,)).splitlines()]
    if [answer["query"] for answer in said] != [question.query for question in asked]:
        sys.exit(f"{repository.name}: {len(said)} answers to {len(asked)} questions")
    return [
        Answered(
            repository,
            question,
            tuple(Place(prefix + r["path"], Span(r["start_line"], r["end_line"])) for r in answer["results"]),
            answer["ms"],
        )
        for question, answer in zip(asked, said, strict=True)
    ]


def _codesearch(arguments: list[str], environment: dict[str, str], stdin: str = "", but: tuple[int, ...] = ()) -> str:
    """Run the command and return what it prints; end the run if it fails, but not for the exit codes in BUT."""
    command = [sys.executable, "-m", "codesearch.cli", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, encoding="utf-8", env=environment)
    if done.returncode and done.returncode not in but:
        sys.exit(f"{shlex.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every measure is given; MODULE is what `python -m` runs, DOC what it is."""
    options = argparse.ArgumentParser(
        prog=f"python -m {module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("judgements", type=Path, help="folder with repositories.json and judgements/")
    options.add_argument("repositories", type=Path, help="folder with one checkout a repository, by name")
    options.add_argument("names", nargs="*", metavar="NAME", help="only these repositories")
    options.add_argument("--mode", choices=MODES, default="fused", help="which search answers (codesearch ask --mode)")
    options.add_argument("--run", type=Path, help="also write every answer here, JSON Lines")
    options.add_argument("--keep", action="store_true", help="write the figures to tests/relevance/results/")
    return options


def write(answers: Iterable[Answered], path: Path) -> None:
    """Write each of ANSWERS as a line of the file at PATH."""
    path.write_text("".join(f"{answer.as_line()}\n" for answer in answers), encoding="utf-8")


def keep(name: str, about: dict[str, Any], figures: dict[str, Any], command: list[str], began: float) -> None:
    """Write the FIGURES of a run below results/, named for the commit and NAME, and say where.

    ABOUT is what was set, COMMAND the module that ran and its options, BEGAN the `time.perf_counter` of its start.
    """

    def rounded(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            value = asdict(value)
        if isinstance(value, dict):
            return {name: rounded(v) for name, v in value.items()}
        return round(value, 4) if isinstance(value, float) else value

    bundle = load(base_bundle())
    module, *options = command
    ran = {
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        **about,
        "bundle": {"name": bundle.description.name, "fingerprint": bundle.fingerprint},
        "command": shlex.join(["python", "-m", module, "JUDGEMENTS", "REPOSITORIES", *options]),
        "seconds": round(time.perf_counter() - began),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{ran['commit']}-{name}.json"
    path.write_text(json.dumps(ran | rounded(figures), indent=1) + "\n", encoding="utf-8")
    print(f"kept in {path.relative_to(CHECKOUT)}", file=sys.stderr)


def _commit() -> str:
    """Return the commit whose code ran; `-dirty` where the product's files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--", "codesearch", "pyproject.toml").strip()
    return git("rev-parse", "--short=12", "HEAD").strip() + ("-dirty" if changed else "")
