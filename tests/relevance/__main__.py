"""Run codesearch over judged repositories as a user would, score the answers and keep the figures by commit.

    python -m tests.relevance JUDGEMENTS REPOSITORIES [--scope root|checkout] [--mode fused|dense|text] [--keep] …

For each repository the installed command builds an index in a folder of its own and answers all questions in one
process; nothing is imported from it but the scoring. README.md in this folder says what the data is and how to get it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from codesearch.bundle import load
from codesearch.eval.relevance import DEPTH, Place, Score, Target, mean, score
from codesearch.paths import base_bundle
from codesearch.types import Span

RESULTS: Final = Path(__file__).parent / "results"
CHECKOUT: Final = Path(__file__).parents[2]
SCOPES: Final = ("root", "checkout")
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


def questions(judgements: Path, name: str) -> list[Question]:
    """Return what was judged for the repository NAME."""
    said = json.loads((judgements / "judgements" / f"{name}.json").read_text(encoding="utf-8"))
    return [Question(q["query"], q["category"], tuple(map(_target, q["targets"]))) for q in said]


def _target(said: dict[str, Any]) -> Target:
    lines = Span(said["start_line"], said["end_line"]) if "start_line" in said else None
    return Target(said["path"], lines)


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


def summary(answers: list[Answered]) -> dict[str, Any]:
    """Return the headline, and the means by category and by repository."""
    by_repository = _means((a.repository.name, a.score) for a in answers)
    return {
        "overall": mean(by_repository.values()),
        "queries": len(answers),
        "p50_ms": round(median(a.ms for a in answers), 2),
        "category": _means((a.question.category, a.score) for a in answers),
        "repository": by_repository,
    }


def _means(named: Iterable[tuple[str, Score]]) -> dict[str, Score]:
    groups: dict[str, list[Score]] = {}
    for name, one in named:
        groups.setdefault(name, []).append(one)
    return {name: mean(scores) for name, scores in sorted(groups.items())}


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield SUMMARY's lines as people read them."""
    yield f"{'':16}  nDCG@{DEPTH}  recall@{DEPTH}  MRR@{DEPTH}"

    def line(name: str, s: Score) -> str:
        return f"{name:16}   {s.ndcg:.4f}     {s.recall:.4f}  {s.mrr:.4f}"

    for group in ("category", "repository"):
        for name, s in figures[group].items():
            yield line(name, s)
        yield ""
    yield line("OVERALL", figures["overall"])
    yield f"{figures['queries']} queries, p50 {figures['p50_ms']} ms"


def keep(figures: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write the figures of a run below results/, named for its commit, scope and mode."""

    def rounded(value: Any) -> Any:
        if isinstance(value, Score):
            return {name: round(figure, 4) for name, figure in asdict(value).items()}
        return {name: rounded(v) for name, v in value.items()} if isinstance(value, dict) else value

    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{about['commit']}-{about['scope']}-{about['mode']}.json"
    path.write_text(json.dumps(about | rounded(figures), indent=1) + "\n", encoding="utf-8")
    return path


def commit() -> str:
    """Return the commit whose code ran; `-dirty` where the product's files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--", "codesearch", "pyproject.toml").strip()
    return git("rev-parse", "--short=12", "HEAD").strip() + ("-dirty" if changed else "")


def main() -> None:
    """Read the arguments, run, and print a table; with --keep, write it down."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.relevance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("judgements", type=Path, help="folder with repositories.json and judgements/")
    parser.add_argument("repositories", type=Path, help="folder with one checkout a repository, by name")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these repositories")
    parser.add_argument("--scope", choices=SCOPES, default="root", help="index each root, or the whole checkout")
    parser.add_argument("--mode", choices=MODES, default="fused", help="which search answers (codesearch ask --mode)")
    parser.add_argument("--indexes", type=Path, help="keep the indexes here, for the next run, instead of nowhere")
    parser.add_argument("--run", type=Path, help="also write every answer here, JSON Lines")
    parser.add_argument("--keep", action="store_true", help="write the figures to tests/relevance/results/")
    given = parser.parse_args()

    chosen = repositories(given.judgements, given.repositories, given.names)
    started = time.perf_counter()
    answers: list[Answered] = []
    with contextlib.ExitStack() as stack:
        home = given.indexes or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevance-")))
        environment = os.environ | {"CODESEARCH_HOME": str(home)}
        for repository in chosen:
            asked = questions(given.judgements, repository.name)
            got = run(repository, asked, given.scope, ["--mode", given.mode], environment)
            answers += got
            print(f"{repository.name:16}   {mean(a.score for a in got).ndcg:.4f}", file=sys.stderr, flush=True)
    figures = summary(answers)
    print("\n".join(table(figures)))
    if given.run:
        given.run.write_text("".join(f"{answer.as_line()}\n" for answer in answers), encoding="utf-8")
    if given.keep:
        bundle = load(base_bundle())
        options = [*given.names, "--scope", given.scope, "--mode", given.mode]
        about = {
            "commit": commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "scope": given.scope,
            "mode": given.mode,
            "bundle": {"name": bundle.description.name, "fingerprint": bundle.fingerprint},
            "command": shlex.join(["python", "-m", "tests.relevance", "JUDGEMENTS", "REPOSITORIES", *options]),
            "seconds": round(time.perf_counter() - started),
        }
        print(f"kept in {keep(figures, about).relative_to(CHECKOUT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
