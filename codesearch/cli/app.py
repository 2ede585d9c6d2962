"""The commands, and the edge of the program: where arguments become settings and errors become messages.

Every error that codesearch raises on purpose is caught once, in `_Edge`. A closed pipe is a reader who has seen enough.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

import codesearch
from codesearch.cli.surroundings import here
from codesearch.cli.visible import visible
from codesearch.errors import CodesearchError, IndexBusyError, StorageError, UsageError
from codesearch.settings import Settings, parse_duration, parse_size
from codesearch.types import Stale

if TYPE_CHECKING:
    from rich.console import Console

    from codesearch.adaptation import Adaptation
    from codesearch.search import Filter
    from codesearch.types import Answer
    from codesearch.workspace import Workspace

NOTHING_FOUND: Final = 1
ERROR: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
TERMINATED: Final = 143
"""128 + SIGTERM."""


class Color(StrEnum):
    """When to use colours; `auto` is on a terminal, unless NO_COLOR is set."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Searches(StrEnum):
    """`codesearch.search.Mode`, which is not loaded before it is needed."""

    FUSED = "fused"
    DENSE = "dense"
    TEXT = "text"


class Objectives(StrEnum):
    """`revela_train.config.Objective`, which need not be installed."""

    BOTH = "both"
    PAIRS = "pairs"
    REVELA = "revela"


class _TerminatedError(SystemExit):
    """SIGTERM came. It leaves as Ctrl-C does, so that what cleans up on the way out has its turn."""


def _terminate(*_: object) -> None:
    # Once is enough: `timeout` and service managers may send it twice, and the second would cut the cleaning short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _TerminatedError(TERMINATED)


class _Edge(TyperGroup):
    """Runs a command and turns the way it ended into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except CodesearchError as error:
            _complain(f"codesearch: {error}")
            raise typer.Exit(ERROR) from error
        except BrokenPipeError as error:
            here().discard()
            raise typer.Exit(0) from error
        except BaseException as error:
            code = _interrupted(error)
            if code is None:
                raise
            _complain("codesearch: interrupted; what is indexed stays, and the same command goes on from there")
            raise typer.Exit(code) from error
        return result


def _interrupted(error: BaseException | None) -> int | None:
    """Return the exit code where Ctrl-C or SIGTERM is behind ERROR, else None.

    Libraries written in C turn it into errors of their own while they load.
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, _TerminatedError):
        return TERMINATED
    return None if error is None else _interrupted(error.__cause__ or error.__context__)


def _complain(message: str) -> None:
    print("\n".join(map(visible, message.splitlines())), file=sys.stderr)


app = typer.Typer(
    cls=_Edge,
    name="codesearch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich boxes around help cost 100 ms
    context_settings={"help_option_names": ["-h", "--help"]},
)

Root = Annotated[Path, typer.Option("--root", help="The folder to search.", metavar="FOLDER")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IndexDir = Annotated[
    Path | None,
    typer.Option(help="Keep the index in this folder, not in <ROOT>/.codesearch.", metavar="FOLDER"),
]
Hidden = Annotated[bool, typer.Option("--hidden", help="Also index hidden files and folders.")]
NoIgnore = Annotated[bool, typer.Option("--no-ignore", help="Do not respect .gitignore, .ignore, .codesearchignore.")]
MaxFilesize = Annotated[
    str, typer.Option(help="Skip larger files; bytes, or with k, M, G. [default: 1M]", metavar="SIZE")
]
Budget = Annotated[
    str, typer.Option(help="Train so long at most: 90s, 10m, 1h. [default: by size, 1 to 3 min]", metavar="TIME")
]
NoServer = Annotated[
    bool,
    typer.Option("--no-server", help="Answer in this process, and start no server. [also: CODESEARCH_NO_SERVER=1]"),
]
"""Read by `server.client`, before there is a command."""
ColorOption = Annotated[Color, typer.Option("--color", help="When to use colours.", case_sensitive=False)]


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes, and a locale lack letters; neither may end a program that only wants to show them.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # who started this may have chosen otherwise
        signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except Exception:
        # Python's own exit code for this, 1, would say "nothing found".
        traceback.print_exc()
        sys.exit(ERROR)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"codesearch {codesearch.__version__}")
        raise typer.Exit


@app.callback()
def _codesearch(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Search your own code by what it does, on your own machine."""


@app.command()
def index(
    root: Annotated[Path, typer.Argument(help="The folder to index.", metavar="[ROOT]")] = Path(),
    no_train: Annotated[bool, typer.Option("--no-train", help="Do not adapt the retriever to this folder.")] = False,
    budget: Budget = "",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build the index again from nothing.")] = False,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
    color: ColorOption = Color.AUTO,
) -> None:
    """Index a folder, or bring its index up to date; then adapt the retriever to it, where that is due.

    The index answers as soon as it is there. Adapting takes one to three minutes, needs the extra `train`, and changes
    nothing unless it proves on held-out functions that it helps.
    """
    from codesearch.cli.progress import Watch, summary

    errors = _console(color, stderr=True)
    seconds = parse_duration(budget, "--budget") if budget else None
    with _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace:
        watch = Watch(errors)
        done = watch.run(workspace.index(rebuild=rebuild))
        watch.print_skipped()
        errors.print(summary(done), soft_wrap=True)
        if no_train or not _can_train():
            return
        why_not = workspace.training_due()
        if why_not is None:
            try:
                _train(workspace, errors, budget=seconds)
            except CodesearchError as error:
                _complain(f"codesearch: the retriever is not adapted: {error}\nThe index is up to date and answers.")
        elif why_not:
            errors.print(why_not, style="dim", soft_wrap=True)


@app.command()
def train(
    root: Annotated[Path, typer.Argument(help="The folder to adapt the retriever to.", metavar="[ROOT]")] = Path(),
    budget: Budget = "",
    objective: Annotated[
        Objectives, typer.Option(help="What is minimised; `revela` is the paper's method and nothing else.")
    ] = Objectives.BOTH,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
    color: ColorOption = Color.AUTO,
) -> None:
    """Adapt the retriever to a folder now, whether it is due or not; it answers only if it proves that it helps.

    Exits with 1 if the retriever that ships stays.
    """
    from codesearch.cli import report

    if not _can_train():
        raise UsageError(
            "training needs torch and transformers: install codesearch with its extra `train`, as in '.[train]'."
        )
    errors = _console(color, stderr=True)
    seconds = parse_duration(budget, "--budget") if budget else None
    with _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace:
        _refresh(workspace, errors)
        said = _train(workspace, errors, budget=seconds, objective=objective, seed=seed)
    if as_json:
        print(report.adaptation_json(said))
    else:
        print("\n".join(report.adaptation_lines(said)))
    if not said.accepted:
        raise typer.Exit(NOTHING_FOUND)


@app.command("eval")
def evaluate(
    root: Root = Path(),
    model: Annotated[
        Path | None,
        typer.Option(help="The bundle to measure. [default: the one that answers]", metavar="FOLDER"),
    ] = None,
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
    color: ColorOption = Color.AUTO,
) -> None:
    """Measure the retriever on functions of this folder: does the first sentence of its documentation find a function?

    The documentation is taken away before, in a copy; asked is what training has not seen. Exits with 1 where nothing
    can be asked.
    """
    import tempfile

    from codesearch import bundle
    from codesearch.cli import report
    from codesearch.eval.heldout import hold_out, prove

    errors = _console(color, stderr=True)
    with (
        _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace,
        tempfile.TemporaryDirectory(prefix="codesearch-eval-") as folder,
        errors.status("measuring"),
    ):
        candidate = workspace.bundle if model is None else bundle.load(model)
        same = candidate.fingerprint == workspace.base.fingerprint
        held = hold_out(workspace.root, Path(folder, "copy"), workspace.settings)
        proof = prove(held, workspace.base, None if same else candidate, Path(folder, "indexes"), workspace.settings)
    print(report.proof_json(proof) if as_json else "\n".join(report.proof_lines(proof)))
    if not proof.figures:
        raise typer.Exit(NOTHING_FOUND)


@app.command()
def ask(
    question: Annotated[
        list[str] | None, typer.Argument(help="What to look for, in your own words.", show_default=False)
    ] = None,
    root: Root = Path(),
    limit: Annotated[int, typer.Option("--limit", "-n", help="Results at most.", min=1)] = 10,
    glob: Annotated[
        list[str] | None,
        typer.Option("--glob", "-g", help="Only paths that match, as in .gitignore; with ! in front, all others."),
    ] = None,
    lang: Annotated[list[str] | None, typer.Option("--lang", "-l", help="Only this language: python, py, go …")] = None,
    as_json: Json = False,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Answer only if it is at least so sure that something here does. [default: 0.2]",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the sum that each result's place comes of.")] = False,
    batch: Annotated[
        str, typer.Option(help='Answer every line {"query": …} of FILE, or of - for standard input.', metavar="FILE")
    ] = "",
    no_server: NoServer = False,
    mode: Annotated[
        Searches, typer.Option(help="Which searches answer: by meaning, by words, or both. For measuring.")
    ] = Searches.FUSED,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
    color: ColorOption = Color.AUTO,
) -> None:
    """Ask a folder a question; it is indexed first, or what has changed since.

    On a terminal results are a page; in a pipe lines of path:line:text. Exits with 0 if something was found, with 1 if
    nothing was, with 2 after an error.
    """
    from codesearch.cli import results

    query = " ".join(question or ()).strip()
    if bool(query) == bool(batch):
        raise UsageError("ask one question, or name a file of questions with --batch.")
    errors = _console(color, stderr=True)
    with _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace:
        from codesearch.search import Mode

        state = _refresh(workspace, errors)
        only = _filter(glob or [], lang or [])
        found = False
        for one in _questions(batch) if batch else [query]:
            answer = workspace.ask(one, limit, only=only, mode=Mode(mode), min_score=min_score, refresh=False)
            if state is not Stale.FRESH:
                answer = replace(answer, state=state)
            found = found or bool(answer.hits)
            if batch or as_json:
                print(results.as_json(answer), flush=True)
            elif not answer.hits:
                _complain(results.nothing(answer))
            elif explain:
                results.print_explanations(answer)
            else:
                _show(answer, _console(color), errors)
    if not found:
        raise typer.Exit(NOTHING_FOUND)


@app.command()
def related(
    place: Annotated[str, typer.Argument(help="A line of a file.", metavar="PATH:LINE", show_default=False)],
    root: Root = Path(),
    limit: Annotated[int, typer.Option("--limit", "-n", help="Results at most, of each relation.", min=1)] = 5,
    as_json: Json = False,
    no_server: NoServer = False,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
    color: ColorOption = Color.AUTO,
) -> None:
    """Show what belongs to the code at a line: its tests, its documentation, what calls it, and what is most like it.

    Exits with 1 if nothing does.
    """
    from codesearch.cli import results

    path, _, line = place.rpartition(":")
    if not path or not (line.isascii() and line.isdecimal()):
        raise UsageError(f"{place} names no line. Write a path, a colon and a line, such as src/cart.py:31.")
    errors = _console(color, stderr=True)
    with _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace:
        state = _refresh(workspace, errors)
        subject, found = workspace.related(here().cwd / path, int(line), limit, refresh=False)
    if as_json:
        print(results.related_json(subject, found, state))
    else:
        for relation, hits in found.items():
            if hits and here().stdout.isatty():
                print(f"{relation}:")
            results.print_lines(hits, subject.symbol.rpartition(".")[2], _console(color))
    if not any(found.values()):
        raise typer.Exit(NOTHING_FOUND)


@app.command()
def status(
    root: Root = Path(),
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
) -> None:
    """Say what is indexed, where, by which model, and whether it is up to date."""
    from codesearch.cli import report

    with _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace:
        said = workspace.status()
    print(report.status_json(said) if as_json else "\n".join(report.status_lines(said)))


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A file.", show_default=False)],
    root: Root = Path(),
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = False,
    no_ignore: NoIgnore = False,
    max_filesize: MaxFilesize = "",
) -> None:
    """Say why a file is or is not indexed, and show its chunks. Exits with 1 if it is not indexed."""
    from codesearch.cli import report

    with _open(root, index_dir, hidden, no_ignore, max_filesize) as workspace:
        # Typed paths are relative to where one stands, not to the root.
        said = workspace.inspect(here().cwd / path)
    print(report.inspection_json(said) if as_json else "\n".join(report.inspection_lines(said)))
    if said.skip:
        raise typer.Exit(NOTHING_FOUND)


@app.command()
def serve(
    root: Root = Path(),
    stop: Annotated[bool, typer.Option("--stop", help="End the server of this folder.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say whether this folder has a server.")] = False,
    idle: Annotated[
        str, typer.Option(help="End when nothing was asked for so long: 90s, 30m, 8h. [default: 30m]", metavar="TIME")
    ] = "",
    as_json: Json = False,
    index_dir: IndexDir = None,
) -> None:
    """Answer the questions about a folder from a process that stays: the first `ask` starts one in the background.

    Runs until Ctrl-C, or until it was idle for long. With --stop and --status exits with 1 if there is no server.
    """
    from codesearch.cli import serving

    around = here()
    folder = (around.cwd / root).resolve()
    where = str(around.cwd / index_dir) if index_dir else ""
    if stop or status:
        found = serving.stop(folder, where) if stop else serving.status(folder, where, as_json=as_json)
        if not found:
            raise typer.Exit(NOTHING_FOUND)
        return
    serving.run(folder, where, idle or around.environ.get("CODESEARCH_SERVER_IDLE", ""))


def _can_train() -> bool:
    """Tell whether the extra `train` is installed; nothing of it is loaded."""
    return all(importlib.util.find_spec(name) for name in ("torch", "transformers", "safetensors", "onnx"))


def _train(workspace: Workspace, errors: Console, **said: Any) -> Adaptation:
    from codesearch.cli.progress import Watch
    from revela_train.config import AdaptConfig, Objective
    from revela_train.workspace import train

    if "objective" in said:
        said["objective"] = Objective(said["objective"])
    done = Watch(errors).follow(train(workspace, AdaptConfig(**said)))
    which = "adapted" if done.accepted else "not adapted"
    errors.print(f"{which}: {done.reason} ({done.questions} questions, {done.seconds:.0f} s)", soft_wrap=True)
    return done


def _open(root: Path, index_dir: Path | None, hidden: bool, no_ignore: bool, max_filesize: str) -> Workspace:
    """Return the workspace of ROOT, with what was typed before what the environment says."""
    around = here()
    said = Settings.from_env(around.environ)
    settings = replace(
        said,
        max_filesize=parse_size(max_filesize, "--max-filesize") if max_filesize else said.max_filesize,
        hidden=hidden or said.hidden,
        no_ignore=no_ignore or said.no_ignore,
        index_dir=around.cwd / index_dir if index_dir else said.index_dir,
    )
    return around.open(around.cwd / root, settings)


def _refresh(workspace: Workspace, errors: Console) -> Stale:
    """Bring the index up to date, or, where that can not be done now, say why and leave it."""
    from codesearch.cli.progress import Watch, summary

    try:
        done = Watch(errors).run(workspace.index())
    except (IndexBusyError, StorageError) as error:
        if not workspace.usable():
            raise
        _complain(f"codesearch: answers may be out of date: {error}")
        return Stale.FILES
    if done.indexed or done.removed:
        errors.print(summary(done), style="dim", soft_wrap=True)
    return Stale.FRESH


def _filter(globs: list[str], languages: list[str]) -> Filter | None:
    from codesearch.languages import language_of
    from codesearch.search import Filter

    if not (globs or languages):
        return None
    named = (name.lower() for name in languages)
    return Filter(tuple(globs), frozenset(language_of(f"file.{name}", b"") or name for name in named))


def _questions(batch: str) -> Iterator[str]:
    """Yield the questions of a file of JSON Lines, as they come."""
    try:
        with nullcontext(sys.stdin) if batch == "-" else Path(batch).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _question(line, f"{batch}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{batch} can not be read: {error}. Give a file of JSON Lines, or - for standard input."
        ) from error


def _question(line: str, place: str) -> str:
    try:
        query = json.loads(line)["query"]
    except (ValueError, TypeError, KeyError):
        query = None
    if not isinstance(query, str):
        raise UsageError(
            f'{place}: not a question. Each line must be a JSON object such as {{"query": "parse dates"}}.'
        )
    return query


def _show(answer: Answer, console: Console, errors: Console) -> None:
    from codesearch.cli import results

    if not here().stdout.isatty():
        results.print_lines(answer.hits, answer.query, console)
        return
    results.print_page(answer, console)
    sys.stdout.flush()
    errors.print(results.footer(answer), style="dim")


def _console(color: Color, *, stderr: bool = False) -> Console:
    """Return what prints to one of the streams, coloured as asked."""
    around = here()
    plain = color is Color.NEVER or (color is Color.AUTO and bool(around.environ.get("NO_COLOR")))
    return around.console(
        stderr=stderr,
        color_system=None if plain else "standard" if color is Color.ALWAYS else "auto",
        force_terminal=True if color is Color.ALWAYS and not stderr else None,
    )
