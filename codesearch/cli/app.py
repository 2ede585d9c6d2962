"""The commands, and the edge of the program: where arguments become settings and errors become messages.

Every error that codesearch raises on purpose is caught once, in `_Edge`. A closed pipe is a reader who has seen enough.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
import time
import traceback
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

import codesearch
from codesearch import config, filtering, registry
from codesearch.cli import background
from codesearch.cli.style import Color, console
from codesearch.cli.surroundings import here
from codesearch.cli.visible import visible
from codesearch.errors import CodesearchError, ExtraMissingError, IndexBusyError, StorageError, UsageError
from codesearch.settings import parse_duration, parse_size
from codesearch.types import Stale

if TYPE_CHECKING:
    from rich.console import Console

    from codesearch.adaptation import Adaptation
    from codesearch.cli.lines import Source
    from codesearch.config import Config
    from codesearch.related import Relation
    from codesearch.server.methods import Methods
    from codesearch.server.served import Served
    from codesearch.types import Hit
    from codesearch.workspace import Workspace
    from revela_train.backbone import Backbone
    from revela_train.config import AdaptConfig

NOTHING_FOUND: Final = 1
ERROR: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
TERMINATED: Final = 143
"""128 + SIGTERM."""
_BEGUN: Final = 10.0
"""Seconds in which whoever builds the first index has written the first of it, on any machine."""


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


class Presets(StrEnum):
    """`revela_train.config.Preset`, which need not be installed."""

    REPOSITORY = "repository"
    PAPER_CODE = "paper-code"
    PAPER_WIKIPEDIA = "paper-wikipedia"


class Clients(StrEnum):
    """Whom `codesearch.cli.installing` can tell."""

    CLAUDE = "claude"
    CODEX = "codex"
    CURSOR = "cursor"
    OPENCODE = "opencode"
    VSCODE = "vscode"
    NVIM = "nvim"


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


def _examples(*commands: str) -> str:
    # Click leaves a paragraph that begins with \b as it is.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def _complain(message: str) -> None:
    print("\n".join(map(visible, message.splitlines())), file=sys.stderr)


app = typer.Typer(
    cls=_Edge,
    name="codesearch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help stands in any pager, and comes in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)

Root = Annotated[Path, typer.Option("--root", help="The folder to search.", metavar="FOLDER")]
Where = Annotated[
    Path | None,
    typer.Option("--root", help="The folder to search. [default: the nearest that is indexed, or .]", metavar="FOLDER"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IndexDir = Annotated[
    Path | None,
    typer.Option(help="Keep the index in this folder, not in ROOT/.codesearch.", metavar="FOLDER"),
]
Hidden = Annotated[
    bool | None, typer.Option("--hidden/--no-hidden", help="Also index hidden files and folders.", show_default=False)
]
NoIgnore = Annotated[
    bool | None,
    typer.Option(
        "--no-ignore/--ignore", help="Do not respect .gitignore, .ignore, .codesearchignore.", show_default=False
    ),
]
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
Store = Annotated[
    str,
    typer.Option("--store", help="A folder, or a URI: s3://, gs://, az://.", metavar="URI", show_default=False),
]
OfStore = Annotated[
    str,
    typer.Option(
        "--store", help="The store that `fleet index` made, in place of a folder.", metavar="URI", show_default=False
    ),
]
Visibilities = Annotated[
    list[str] | None,
    typer.Option("--visibility", help="Of a store: see what is of this visibility.", metavar="NAME"),
]
Allow = Annotated[
    Path | None,
    typer.Option(help="Of a store: see the repositories that this file names, one a line.", metavar="FILE"),
]
ColorOption = Annotated[Color | None, typer.Option("--color", help="When to use colours.", case_sensitive=False)]


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes, and a locale lack letters; neither may end a program that only wants to show them.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # who started this may have chosen otherwise
        signal.signal(signal.SIGTERM, _terminate)
    try:
        # Alone, where there is somebody to type, it is the interface; elsewhere its help.
        app(["tui"] if len(sys.argv) == 1 and _interactive() else None)
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


@app.command(
    short_help="Index a folder, and adapt the retriever to it.",
    epilog=_examples("codesearch index", "codesearch index ~/src/flask --budget 10m"),
)
def index(
    root: Annotated[Path, typer.Argument(help="The folder to index.", metavar="ROOT")] = Path(),
    no_train: Annotated[
        bool | None,
        typer.Option("--no-train/--train", help="Do not adapt the retriever to this folder.", show_default=False),
    ] = None,
    budget: Budget = "",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build the index again from nothing.")] = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
    color: ColorOption = None,
) -> None:
    """Index a folder, or bring its index up to date; then adapt the retriever to it, where that is due.

    The index answers as soon as it is there. Adapting takes one to three minutes, needs the extra `train`, and changes
    nothing unless it proves on held-out functions that it helps.
    """
    from codesearch.cli.progress import Watch, summary
    from codesearch.training import missing

    given = _config(root, hidden, no_ignore, max_filesize, color, **{"no-train": no_train, "budget": budget or None})
    errors = console(given["color"], stderr=True)
    with _open(root, index_dir, given) as workspace:
        watch = Watch(errors)
        done = watch.run(workspace.index(rebuild=rebuild))
        watch.print_skipped()
        errors.print(summary(done), soft_wrap=True)
        registry.note(workspace.root, workspace.layout.folder.absolute())
        if given["no-train"] or missing():
            return
        why_not = workspace.training_due()
        if why_not is None:
            try:
                _train(workspace, errors, _recipe(budget=_seconds(given)))
            except CodesearchError as error:
                _complain(f"codesearch: the retriever is not adapted: {error}\nThe index is up to date and answers.")
        elif why_not:
            errors.print(why_not, style="dim", soft_wrap=True)


@app.command(
    short_help="Adapt the retriever to a folder now.",
    epilog=_examples(
        "codesearch train",
        "codesearch train ~/src/flask --budget 10m",
        "codesearch train --backbone sentence-transformers/all-MiniLM-L6-v2 --lm HuggingFaceTB/SmolLM2-135M",
    ),
)
def train(
    root: Annotated[Path, typer.Argument(help="The folder to adapt the retriever to.", metavar="ROOT")] = Path(),
    budget: Budget = "",
    objective: Annotated[
        Objectives, typer.Option(help="What is minimised; `revela` is the paper's method and nothing else.")
    ] = Objectives.BOTH,
    seed: Annotated[int, typer.Option(help="Of everything random.", metavar="N")] = 0,
    backbone: Annotated[
        str,
        typer.Option(help="Train this transformer, a folder or a name on Hugging Face, instead.", metavar="MODEL"),
    ] = "",
    lm: Annotated[
        str, typer.Option(help="What teaches it: a causal LM. [default: the one that ships]", metavar="MODEL")
    ] = "",
    preset: Annotated[Presets, typer.Option(help="How a transformer is trained.")] = Presets.REPOSITORY,
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
    color: ColorOption = None,
) -> None:
    """Adapt the retriever to a folder now, whether it is due or not; it answers only if it proves that it helps.

    Exits with 1 if the retriever that ships stays.
    """
    from codesearch.cli import report
    from codesearch.training import need_extra

    need_extra()
    given = _config(root, hidden, no_ignore, max_filesize, color, budget=budget or None)
    errors = console(given["color"], stderr=True)
    if lm and not backbone:
        raise UsageError("--lm teaches a --backbone; the retriever that ships has an LM of its own. Name both.")
    recipe = _recipe(backbone, lm, preset, budget=_seconds(given), objective=objective, seed=seed)
    with _open(root, index_dir, given) as workspace:
        _refresh(workspace, errors)
        said = _train(workspace, errors, recipe)
    if as_json:
        print(report.adaptation_json(said))
    else:
        print("\n".join(report.adaptation_lines(said)))
    if not said.accepted:
        raise typer.Exit(NOTHING_FOUND)


@app.command(
    "eval",
    short_help="Measure the retriever on your own code.",
    epilog=_examples("codesearch eval", "codesearch eval --model ./bundle --json"),
)
def evaluate(
    root: Root = Path(),
    model: Annotated[
        Path | None,
        typer.Option(help="The bundle to measure. [default: the one that answers]", metavar="FOLDER"),
    ] = None,
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
    color: ColorOption = None,
) -> None:
    """Measure the retriever on functions of this folder: does the first sentence of its documentation find a function?

    The documentation is taken away before, in a copy; asked is what training has not seen. Exits with 1 where nothing
    can be asked.
    """
    import tempfile

    from codesearch import bundle
    from codesearch.cli import report
    from codesearch.eval.heldout import hold_out, prove

    given = _config(root, hidden, no_ignore, max_filesize, color)
    errors = console(given["color"], stderr=True)
    with (
        _open(root, index_dir, given) as workspace,
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


@app.command(
    short_help="Ask a folder a question.",
    epilog=_examples(
        'codesearch ask "where do we back off before a retry?"',
        'codesearch ask "parse dates" src/ -t py --no-tests -n 5',
        "codesearch ask Cart.total --json",
        'vim -q <(codesearch ask "open a socket" --vimgrep)',
        'codesearch ask "how is a session kept alive" --max-tokens 2000',
    ),
)
def ask(
    question: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to look for, in your own words; behind a question in quotes, files and folders to look in.",
            metavar="QUESTION [PATH]...",
            show_default=False,
        ),
    ] = None,
    root: Where = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", help="Results at most. [default: 10]", min=1, show_default=False, metavar="N"),
    ] = None,
    glob: Annotated[
        list[str] | None,
        typer.Option(
            "--glob", "-g", help="Only paths that match, as in .gitignore; with ! in front, all others.", metavar="GLOB"
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", help="Only this type of file: py, js, md … (ripgrep's names).", metavar="TYPE"),
    ] = None,
    not_kind: Annotated[
        list[str] | None, typer.Option("--type-not", "-T", help="Not this type of file.", metavar="TYPE")
    ] = None,
    lang: Annotated[
        list[str] | None, typer.Option("--lang", help="Only this language: python, py, go …", metavar="NAME")
    ] = None,
    no_tests: Annotated[
        bool | None, typer.Option("--no-tests/--tests", help="Leave tests out.", show_default=False)
    ] = None,
    after: Annotated[
        int | None, typer.Option("-A", help="Lines to show after the best one.", min=0, metavar="N")
    ] = None,
    before: Annotated[int | None, typer.Option("-B", help="Lines to show before it.", min=0, metavar="N")] = None,
    context: Annotated[
        int | None, typer.Option("--context", "-C", help="Lines to show on either side of it.", min=0, metavar="N")
    ] = None,
    names: Annotated[bool, typer.Option("--files-with-matches", "-l", help="Print only names of files.")] = False,
    null: Annotated[bool, typer.Option("--null", "-0", help="Print a NUL after each name of a file.")] = False,
    vimgrep: Annotated[bool, typer.Option("--vimgrep", help="Print path:line:column:text.")] = False,
    as_json: Json = False,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print a line of JSON a result, then one about all.")
    ] = False,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Print whole code, as much as fits into so many tokens of a large model.", min=50, metavar="N"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code says it.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the sum that each result's place comes of.")] = False,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Answer only if it is at least so sure that something here does. [default: 0.2]",
            min=0,
            max=1,
            show_default=False,
            metavar="SHARE",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="The first time, wait until all is indexed, and answer from the whole.")
    ] = False,
    batch: Annotated[
        str, typer.Option(help='Answer every line {"query": …} of FILE, or of - for standard input.', metavar="FILE")
    ] = "",
    store: OfStore = "",
    repository: Annotated[
        list[str] | None, typer.Option(help="Of a store: only this repository.", metavar="NAME")
    ] = None,
    owner: Annotated[
        list[str] | None, typer.Option(help="Of a store: only what this owner has.", metavar="NAME")
    ] = None,
    visibility: Visibilities = None,
    allow: Allow = None,
    no_server: NoServer = False,
    mode: Annotated[
        Searches, typer.Option(help="Which searches answer: by meaning, by words, or both. For measuring.")
    ] = Searches.FUSED,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
    color: ColorOption = None,
    hyperlink_format: Annotated[
        str | None,
        typer.Option(
            help="What names of files link to on a terminal: file, vscode, cursor, none … or a format. [default: file]",
            show_default=False,
            metavar="FORMAT",
        ),
    ] = None,
) -> None:
    """Ask a folder a question; it is indexed first, or what has changed since. Or ask a store of many repositories.

    On a terminal results are a page; in a pipe lines of path:line:text. Exits with 0 if something was found, with 1 if
    nothing was, with 2 after an error.
    """
    from codesearch.cli import asking, standing

    at = standing.place(root, index_dir)
    query, paths = asking.question_and_paths(question or [], at.root)
    if bool(query) == bool(batch):
        raise UsageError("ask one question, or name a file of questions with --batch.")
    typed = {"limit": limit, "min-score": min_score, "no-tests": no_tests, "hyperlink-format": hyperlink_format}
    given = _config(None if store else at.root, hidden, no_ignore, max_filesize, color, **typed)
    form = asking.Form(
        form=asking.form_of(
            {
                "--json": as_json,
                "--jsonl": as_jsonl,
                "--vimgrep": vimgrep,
                "--files-with-matches": names,
                "--explain": explain,
                "--quiet": quiet,
            }
        ),
        color=given["color"],
        links=given["hyperlink-format"],
        before=context if before is None else before,
        after=context if after is None else after,
        null=null,
        max_tokens=max_tokens,
        batch=bool(batch),
    )
    only = filtering.only(
        paths or (() if store else at.paths),
        glob or [],
        kind or [],
        not_kind or [],
        lang or [],
        tests=not given["no-tests"],
    )
    questions = asking.questions(batch) if batch else [query]
    if store:
        of_a_folder = {"--root": root, "a path": paths, "--wait": wait, "--index-dir": index_dir}
        if wrong := [name for name, said in of_a_folder.items() if said]:
            raise UsageError(f"{wrong[0]} is for a folder; with --store, use --repository, --owner, --glob, --lang.")
        from codesearch.cli import fleet
        from codesearch.fleet.access import Wanted
        from codesearch.search import Mode

        wanted = Wanted(tuple(repository or ()), tuple(owner or ())).narrowed(only)
        form, found = replace(form, links="none"), False
        with fleet.opened(store, visibility or [], allow) as opened:
            for one in questions:
                answer = opened.ask(one, given["limit"], wanted=wanted, mode=Mode(mode), min_score=given["min-score"])
                found = found or bool(answer.hits)
                form.print(fleet.Seen(answer, opened), _complain)
        if not found:
            raise typer.Exit(NOTHING_FOUND)
        return
    if repository or owner or visibility or allow:
        raise UsageError("--repository, --owner, --visibility and --allow are for a store: name it with --store.")
    errors = console(given["color"], stderr=True)
    with _open(at.root, index_dir, given) as workspace:
        from codesearch.search import Mode

        # By default 3 s, for 5,000 to 20,000 chunks: most repositories have no more.
        state = _refresh(workspace, errors, None if wait or batch else given["first-wait"])
        found = False
        for one in questions:
            answer = workspace.ask(
                one, given["limit"], only=only, mode=Mode(mode), min_score=given["min-score"], refresh=False
            )
            if state is not Stale.FRESH:
                answer = replace(answer, state=state)
            found = found or bool(answer.hits)
            form.print(standing.Seen(workspace, at, answer), _complain)
    if not found:
        raise typer.Exit(NOTHING_FOUND)


@app.command(
    short_help="Show tests, documentation and callers of a line.",
    epilog=_examples(
        "codesearch related src/cart.py:31",
        "codesearch related src/cart.py:31 --json",
        "codesearch related acme/shop/src/cart.py:31 --store s3://acme-code/index",
    ),
)
def related(
    place: Annotated[str, typer.Argument(help="A line of a file.", metavar="PATH:LINE", show_default=False)],
    root: Where = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="Results at most, of each relation.", min=1, metavar="N")
    ] = 5,
    as_json: Json = False,
    store: OfStore = "",
    visibility: Visibilities = None,
    allow: Allow = None,
    no_server: NoServer = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
    color: ColorOption = None,
) -> None:
    """Show what belongs to the code at a line: its tests, its documentation, what calls it, and what is most like it.

    In a store that is what belongs to it in its repository; a path begins with the repository's name, as results do.
    Exits with 1 if nothing does.
    """
    path, _, line = place.rpartition(":")
    if not path or not (line.isascii() and line.isdecimal()):
        raise UsageError(f"{place} names no line. Write a path, a colon and a line, such as src/cart.py:31.")
    _of_one(store, root, index_dir, visibility, allow)
    from codesearch.cli import standing
    from codesearch.cli.lines import Lines
    from codesearch.cli.machine import related_json

    def show(subject: Hit, found: dict[Relation, tuple[Hit, ...]], state: Stale, source: Source) -> None:
        if as_json:
            print(related_json(subject, found, state))
        else:
            lines = Lines(color=console(given["color"]).color_system is not None)
            for relation, hits in found.items():
                if hits and here().stdout.isatty():
                    print(f"{relation}:")
                sys.stdout.writelines(lines.of(hits, subject.symbol.rpartition(".")[2], source))
        if not any(found.values()):
            raise typer.Exit(NOTHING_FOUND)

    if store:
        from codesearch.cli import fleet
        from codesearch.fleet.access import parted

        given = _config(None, hidden, no_ignore, max_filesize, color)
        with fleet.opened(store, visibility or [], allow) as opened:
            subject, found = opened.related(*parted(path, opened.entries), int(line), limit)
            show(subject, found, Stale.FRESH, lambda hit: opened.lines(hit.repository, hit.path))
        return
    at = standing.place(root, index_dir)
    given = _config(at.root, hidden, no_ignore, max_filesize, color)
    with _open(at.root, index_dir, given) as workspace:
        state = _refresh(workspace, console(given["color"], stderr=True))
        subject, found = workspace.related(here().cwd / path, int(line), limit, refresh=False)
        seen = standing.Seen(workspace, at)
        subject, found = at.hit(subject), {relation: tuple(map(at.hit, hits)) for relation, hits in found.items()}
        show(subject, found, state, seen.lines)


@app.command(
    short_help="Search while you type, with the code beside.",
    epilog=_examples("codesearch", "codesearch tui --root ~/src/flask", "codesearch tui --store s3://acme-code/index"),
)
def tui(
    root: Where = None,
    store: OfStore = "",
    visibility: Visibilities = None,
    allow: Allow = None,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
) -> None:
    """Search while you type, with the code beside; what `codesearch` alone does on a terminal. F1 shows the keys.

    In a store there are no files to open in an editor.
    """
    _of_one(store, root, index_dir, visibility, allow)
    if not _interactive():
        raise UsageError('this needs a terminal. In a pipe, use `codesearch ask "…"`.')
    from codesearch.cli import fleet, standing
    from codesearch.tui import run
    from codesearch.tui.searched import folder as of_folder
    from codesearch.tui.searched import store as of_store

    if store:
        searched = of_store(fleet.place(store), fleet.seen(visibility or [], allow))
        if code := run(searched):
            raise typer.Exit(code)
        return
    top = standing.place(root, index_dir).root
    given = _config(top, hidden, no_ignore, max_filesize)
    with _open(top, index_dir, given) as workspace:
        searched = of_folder(workspace.root, workspace.settings)
    if code := run(searched, given["editor"]):
        raise typer.Exit(code)


def _interactive() -> bool:
    """Tell whether somebody types, and sees what is drawn on a screen."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and here().environ.get("TERM") not in ("dumb", "", None)


@app.command(
    short_help="Say what is indexed, and whether it is up to date.",
    epilog=_examples("codesearch status", "codesearch status --root ~/src/flask --json"),
)
def status(
    root: Where = None,
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
) -> None:
    """Say what is indexed, where, by which model, and whether it is up to date."""
    from codesearch.cli import report, standing

    top = standing.place(root, index_dir).root
    with _open(top, index_dir, _config(top, hidden, no_ignore, max_filesize)) as workspace:
        said = workspace.status()
    print(report.status_json(said) if as_json else "\n".join(report.status_lines(said)))


@app.command(
    short_help="Say why a file is or is not indexed.",
    epilog=_examples("codesearch inspect src/cart.py", "codesearch inspect vendor/lib.js"),
)
def inspect(
    path: Annotated[Path, typer.Argument(help="A file.", show_default=False)],
    root: Where = None,
    as_json: Json = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
) -> None:
    """Say why a file is or is not indexed, and show its chunks. Exits with 1 if it is not indexed."""
    from codesearch.cli import report, standing

    top = standing.place(root, index_dir).root
    with _open(top, index_dir, _config(top, hidden, no_ignore, max_filesize)) as workspace:
        # Typed paths are relative to where one stands, not to the root.
        said = workspace.inspect(here().cwd / path)
    print(report.inspection_json(said) if as_json else "\n".join(report.inspection_lines(said)))
    if said.skip:
        raise typer.Exit(NOTHING_FOUND)


@app.command(
    short_help="Answer from a process that stays.",
    epilog=_examples(
        "codesearch serve --status",
        "codesearch serve --stop",
        "codesearch serve --store s3://acme-code/index --visibility public --idle 8h",
    ),
)
def serve(
    root: Where = None,
    store: OfStore = "",
    visibility: Visibilities = None,
    allow: Allow = None,
    stop: Annotated[bool, typer.Option("--stop", help="End the server of this folder, or store.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say whether it has a server.")] = False,
    idle: Annotated[
        str, typer.Option(help="End when nothing was asked for so long: 90s, 30m, 8h. [default: 30m]", metavar="TIME")
    ] = "",
    as_json: Json = False,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Speak JSON-RPC over standard input and output, for editors.")
    ] = False,
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
) -> None:
    """Answer the questions about a folder from a process that stays: the first `ask` starts one in the background.

    Or those about a store, for who may see what --visibility and --allow say and nothing else. Runs until Ctrl-C, or
    until it was idle for long. With --stop and --status exits with 1 if there is no server. With --stdio it serves
    whoever started it, as extensions/PROTOCOL.md says, until that closes the pipe.
    """
    from codesearch.cli import fleet, serving, standing

    _of_one(store, root, index_dir, visibility, allow)
    if stdio:
        from codesearch.server.stdio import serve as converse

        if store:
            from codesearch.server.store import WarmStore
            from codesearch.server.store_methods import StoreMethods

            converse(StoreMethods(WarmStore(fleet.place(store), fleet.seen(visibility or [], allow))))
        else:
            converse(_methods(root or Path(), index_dir, hidden, no_ignore, max_filesize))
        return
    around = here()
    served: Served
    if store:
        from codesearch.server.store import Store as Stored

        served = Stored(fleet.place(store), fleet.seen(visibility or [], allow))
    else:
        folder = (around.cwd / standing.place(root, index_dir).root).resolve()
        served = serving.folder(folder, str(around.cwd / index_dir) if index_dir else "")
    if stop or status:
        found = serving.stop(served) if stop else serving.status(served, as_json=as_json)
        if not found:
            raise typer.Exit(NOTHING_FOUND)
        return
    serving.run(served, idle or around.environ.get("CODESEARCH_SERVER_IDLE", ""))


def _of_one(store: str, root: object, index_dir: object, visibility: object, allow: object) -> None:
    """Raise UsageError where a folder is named beside a store, or what may be seen of none."""
    if store and (root or index_dir):
        raise UsageError("this is about a folder or about a store: give --root or --store.")
    if not store and (visibility or allow):
        raise UsageError("--visibility and --allow are for a store: name it with --store.")


@app.command(short_help="Answer an editor's language client.")
def lsp(
    root: Root = Path(),
    index_dir: IndexDir = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
) -> None:
    """Answer an editor that speaks the Language Server Protocol, over standard input and output.

    Its search for symbols takes questions. The folders are those that are open there, or else --root. Needs the extra
    `lsp`.
    """
    _needs("pygls", "lsp")
    from codesearch.server.lsp import serve as converse

    converse(lambda where: _methods(where, index_dir, hidden, no_ignore, max_filesize), here().cwd / root)


@app.command(short_help="Answer an agent, over MCP.")
def mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", help="A folder to answer about; may be given again.", metavar="FOLDER"),
    ] = None,
    store: OfStore = "",
    visibility: Visibilities = None,
    allow: Allow = None,
    hidden: Hidden = None,
    no_ignore: NoIgnore = None,
    max_filesize: MaxFilesize = "",
) -> None:
    """Answer an agent that speaks the Model Context Protocol, over standard input and output, about these folders only.

    Or about a store, of which the agent sees what --visibility and --allow say. Needs the extra `mcp`.
    """
    _needs("mcp", "mcp")
    _of_one(store, root, None, visibility, allow)
    if store:
        from codesearch.cli import fleet
        from codesearch.server.mcp_store import serve as serve_store

        serve_store(fleet.place(store), fleet.seen(visibility or [], allow))
        return
    if not root and here().cwd.resolve() in (Path.home().resolve(), Path(here().cwd.anchor)):
        # Agents that have no folder open start their servers there.
        raise UsageError("this is no folder to search as a whole. Name one with --root.")
    from codesearch.server.mcp import serve as converse

    converse([_methods(where, None, hidden, no_ignore, max_filesize) for where in root or [Path()]])


@app.command(
    short_help="Tell an agent or editor about codesearch.",
    epilog=_examples("codesearch install claude", "codesearch install nvim --yes"),
)
def install(
    client: Annotated[Clients, typer.Argument(help="Whom to tell.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
) -> None:
    """Tell an agent or editor about codesearch, in its own settings; the change is shown first.

    All else in the file stays; one that can not be read is left alone.
    """
    from codesearch.cli import installing

    change = installing.change(client)
    if change.before == change.after:
        _complain(f"{change.file} says so already: {change.what}")
        return
    print("\n".join(map(visible, change.diff())), flush=True)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to be asked: give --yes.")
        if not typer.confirm(f"Change {visible(str(change.file))}?", err=True):
            raise typer.Exit(NOTHING_FOUND)
    change.write()
    _complain(f"wrote {change.file}: {change.what}. Start it anew.")


@app.command(
    "config",
    short_help="Show what is set, and by what.",
    epilog=_examples("codesearch config --origin", "CODESEARCH_LIMIT=5 codesearch config --json"),
)
def show_config(
    root: Root = Path(),
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is set: by flags, CODESEARCH_* variables, the folder's .codesearch.toml, your own file, or default.

    The first of these that sets something holds. Your own file is named below the settings; the folder's file may set
    only what concerns its code: max-filesize, hidden, no-ignore, no-tests, limit, min-score.
    """
    from codesearch.cli import care

    given = _config(root, None, None, "")
    if as_json:
        print(care.config_json(given))
        return
    print("\n".join(care.config_lines(given, origin=origin)))
    print(f"# your own file: {visible(str(config.user_file()))}", file=sys.stderr)


@app.command(short_help="List the types of files.", epilog=_examples("codesearch types | grep rust"))
def types() -> None:
    """List the types of files that --type and --type-not know."""
    from codesearch.filetypes import TYPES

    for name, globs in TYPES.items():
        print(f"{name}: {', '.join(globs)}")


@app.command(
    "list",
    short_help="List the folders that have an index.",
    epilog=_examples("codesearch list", "codesearch list --json"),
)
def list_indexes(as_json: Json = False) -> None:
    """List the folders that have an index. Exits with 1 if none has."""
    import json

    from codesearch.cli import care

    found = care.indexes()
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        for one in found:
            held = f"{one['files']:,} files, {one['chunks']:,} chunks" if one["state"] == "indexed" else one["state"]
            print(f"{visible(one['root'])}  {held}, {one['bytes'] / 1e6:,.1f} MB")
    if not found:
        raise typer.Exit(NOTHING_FOUND)


@app.command(
    short_help="Remove a folder's index.",
    epilog=_examples("codesearch clear", "codesearch clear ~/src/flask --yes", "codesearch clear --gone"),
)
def clear(
    root: Annotated[Path, typer.Argument(help="The folder whose index is to go.", metavar="ROOT")] = Path(),
    gone: Annotated[bool, typer.Option("--gone", help="Of all folders that are no longer there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    index_dir: IndexDir = None,
) -> None:
    """Remove a folder's index and the retriever that was adapted to it; the folder's own files are not touched.

    An index in the folder that is left aside, because you have not made it there, goes first, unseen.
    """
    from codesearch.cli.serving import folder as served
    from codesearch.generations import clear as remove
    from codesearch.generations import discard
    from codesearch.paths import Layout
    from codesearch.server import protocol
    from codesearch.server.client import control
    from codesearch.workspace import Workspace

    def may_go(folder: Path) -> None:
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("nobody is there to be asked: give --yes.")
            if not typer.confirm(f"Remove {visible(str(folder))}?", err=True):
                raise typer.Exit(NOTHING_FOUND)

    if gone:
        doomed = [(where, folder) for where, folder in registry.known() if not where.is_dir()]
    else:
        with Workspace.open(root, config.resolve(root, {}).settings(index_dir)) as workspace:
            doomed = [(workspace.root, workspace.layout.folder)]
        if workspace.aside is not None:
            may_go(workspace.aside)
            size = discard(workspace.aside)
            _complain(f"removed {workspace.aside} ({size / 1e6:,.1f} MB)")
            doomed = [one for one in doomed if Layout(one[1]).lock.is_file()]
    for where, folder in doomed:
        if gone and not folder.is_dir():  # it went with its folder
            registry.forget(where, folder)
            continue
        may_go(folder)
        control(
            served(where, str(folder) if index_dir else "").place, protocol.STOP
        )  # it would answer from what is gone
        size = remove(Layout(folder), 1)
        registry.forget(where, folder)
        _complain(f"removed {folder} ({size / 1e6:,.1f} MB)")


fleet_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)
app.add_typer(fleet_app, name="fleet", short_help="Index many repositories into one store.")


@fleet_app.callback()
def _fleet() -> None:
    """Index many repositories into one store, which `codesearch ask --store` asks. Needs the extra `fleet`."""


@fleet_app.command(
    "index",
    short_help="Bring a store up to date with its sources.",
    epilog=_examples(
        "codesearch fleet index repositories.txt --store s3://acme-code/index",
        "codesearch fleet index https://github.com/pallets/click ~/src/shop --store ./store",
    ),
)
def fleet_index(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="URLs of git repositories, folders, and files with a list of such, one a line.",
            metavar="SOURCES",
            show_default=False,
        ),
    ],
    store: Store,
    model: Annotated[
        Path | None, typer.Option(help="The bundle to index with. [default: the one that ships]", metavar="FOLDER")
    ] = None,
    visibility: Annotated[
        str, typer.Option(help="Of what the list does not say otherwise.", metavar="NAME")
    ] = "private",
    cpus: Annotated[float, typer.Option(help="Processors that a repository is given.", min=0.1, metavar="N")] = 1.0,
    memory: Annotated[str, typer.Option(help="Memory that a repository is given.", metavar="SIZE")] = "1G",
    retries: Annotated[int, typer.Option(help="How often what failed is tried again.", min=0, metavar="N")] = 2,
    batch: Annotated[int, typer.Option(help="Repositories in a commit.", min=1, metavar="N")] = 50,
    timeout: Annotated[str, typer.Option(help="What git is given for a repository.", metavar="TIME")] = "10m",
    as_json: Annotated[bool, typer.Option("--json", help="Print what happens as lines of JSON.")] = False,
    color: ColorOption = None,
) -> None:
    """Bring a store of many repositories up to date with SOURCES: what is in as of its latest commit is left as it is.

    Runs on this machine, or on the Ray cluster that RAY_ADDRESS names. What fails is tried again, then named, and stops
    nothing else; then the exit code is 2. Interrupted, run it again. Credentials of a store come from the environment
    or the machine, those of a repository from git.
    """
    _needs("ray", "fleet")
    _needs("lance", "fleet")
    from codesearch import bundle
    from codesearch.cli import fleet
    from codesearch.fleet.settings import FleetSettings
    from codesearch.fleet.sources import sources as named
    from codesearch.paths import base_bundle

    found = named([str(here().cwd / word) if (here().cwd / word).exists() else word for word in sources], visibility)
    if not found:
        raise UsageError("there is nothing to index: the list of sources is empty.")
    settings = FleetSettings(
        cpus=cpus,
        memory=parse_size(memory, "--memory"),
        retries=retries,
        batch=batch,
        timeout=parse_duration(timeout, "--timeout"),
    )
    chosen = bundle.load(here().cwd / model if model else base_bundle())
    from codesearch.fleet.drive import index as drive

    errors = console(color or "auto", stderr=True)
    done = fleet.follow(drive(found, fleet.place(store), chosen, settings), errors, as_json=as_json)
    if done.failed:
        raise typer.Exit(ERROR)


@fleet_app.command(
    "status", short_help="Say what is in a store.", epilog=_examples("codesearch fleet status --store s3://b")
)
def fleet_status(store: Store, visibility: Visibilities = None, allow: Allow = None, as_json: Json = False) -> None:
    """Say which repositories are in a store, as of which commit. Exits with 1 if there are none."""
    from codesearch.cli import fleet

    entries = fleet.entries(store, visibility or [], allow)
    print(fleet.status_json(fleet.place(store), entries) if as_json else "\n".join(fleet.status_lines(entries)))
    if not entries:
        raise typer.Exit(NOTHING_FOUND)


@fleet_app.command(
    "remove",
    short_help="Take repositories out of a store.",
    epilog=_examples("codesearch fleet remove acme/shop --store s3://acme-code/index"),
)
def fleet_remove(
    repositories: Annotated[list[str], typer.Argument(help="Their names.", metavar="NAMES", show_default=False)],
    store: Store,
) -> None:
    """Take repositories out of a store, by their full names, in one commit. Exits with 1 if one is not in."""
    _needs("lance", "fleet")
    from codesearch.cli import fleet

    absent = fleet.remove(store, repositories)
    for name in absent:
        _complain(f"{name} is not in the store")
    if absent:
        raise typer.Exit(NOTHING_FOUND)


@app.command(
    short_help="Try every part, and say what to do.",
    epilog=_examples("codesearch doctor", "codesearch doctor --root ~/src/flask --json"),
)
def doctor(root: Root = Path(), as_json: Json = False, index_dir: IndexDir = None) -> None:
    """Try every part: model, grammars, store, git, training, permissions, index; say what to do about what fails.

    Exits with 2 if something does.
    """
    import json
    from dataclasses import asdict

    from codesearch.cli import care

    given = _config(root, None, None, "")
    findings = []
    for finding in care.checks(root, index_dir, given):
        findings.append(finding)
        if not as_json:
            print(f"{'FAIL' if finding.wrong else 'ok':5} {finding.about:9} {visible(finding.said)}", flush=True)
            if finding.advice:
                print(f"{'':15} {visible(finding.advice)}")
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    if any(finding.wrong for finding in findings):
        raise typer.Exit(ERROR)


def _recipe(
    backbone: str = "", lm: str = "", preset: Presets = Presets.REPOSITORY, **said: Any
) -> AdaptConfig | Backbone:
    """Return how to train; a transformer is found and checked now, before any work is lost."""
    from revela_train.config import PRESETS, AdaptConfig, Objective, Preset

    if "objective" in said:
        said["objective"] = Objective(said["objective"])
    if not backbone:
        return AdaptConfig(**said)
    from revela_train.backbone import prepare

    if said["objective"] is Objective.BOTH:
        del said["objective"]  # the preset's own
    return prepare(backbone, lm or None, replace(PRESETS[Preset(preset)], **said))


def _train(workspace: Workspace, errors: Console, recipe: AdaptConfig | Backbone) -> Adaptation:
    from codesearch.cli.progress import Watch
    from revela_train.workspace import train

    done = Watch(errors).follow(train(workspace, recipe))
    which = "adapted" if done.accepted else "not adapted"
    errors.print(f"{which}: {done.reason} ({done.questions} questions, {done.seconds:.0f} s)", soft_wrap=True)
    return done


def _seconds(given: Config) -> float | None:
    return parse_duration(given["budget"], "--budget") if given["budget"] else None


def _config(
    root: Path | None,
    hidden: bool | None,
    no_ignore: bool | None,
    max_filesize: str,
    color: Color | None = None,
    **typed: Any,
) -> Config:
    """Return what holds in ROOT, if it is a folder that is asked about, with what was typed before all else.

    What is wrong with the folder's own file is said.
    """
    flags = {
        "hidden": hidden,
        "no-ignore": no_ignore,
        "max-filesize": parse_size(max_filesize, "--max-filesize") if max_filesize else None,
        "color": color,
    }
    given = config.resolve(None if root is None else here().cwd / root, flags | typed, here().environ)
    for warning in given.warnings:
        _complain(f"codesearch: warning: {warning}")
    return given


def _needs(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ExtraMissingError(
            f"this needs {module}: install codesearch with its extra `{extra}`, as in '.[{extra}]'."
        )


def _methods(
    root: Path, index_dir: Path | None, hidden: bool | None, no_ignore: bool | None, max_filesize: str
) -> Methods:
    """Return what a server answers with that whoever started it talks to."""
    from codesearch.server.methods import Methods

    size = parse_size(max_filesize, "--max-filesize") if max_filesize else None
    flags = {"hidden": hidden, "no-ignore": no_ignore, "max-filesize": size}
    return Methods(here().cwd / root, str(here().cwd / index_dir) if index_dir else "", flags)


def _open(root: Path, index_dir: Path | None, given: Config) -> Workspace:
    return here().open(here().cwd / root, given.settings(here().cwd / index_dir if index_dir else None))


def _searchable(workspace: Workspace) -> bool:
    """Wait until what another process is building for the first time can be searched; return whether it can."""
    deadline = time.monotonic() + _BEGUN
    while not workspace.unfinished() and not workspace.usable():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _refresh(workspace: Workspace, errors: Console, soon: float | None = None) -> Stale:
    """Bring the index up to date, or, where that can not be done now, say why and leave it.

    Where there is none yet, build it; after SOON seconds, if they are said, go on in the background.
    """
    from codesearch.cli.progress import Watch, summary

    first = soon is not None and not workspace.usable()
    begun = first and workspace.unfinished() > 0
    try:
        # Who began it may be at it still; then what there is answers at once.
        work = workspace.index(patience=0) if begun else workspace.index()
        done = Watch(errors).run_for(work, soon) if first and soon else Watch(errors).run(work)
    except (IndexBusyError, StorageError) as error:
        if first and isinstance(error, IndexBusyError) and _searchable(workspace):
            return Stale.FILES
        if not workspace.usable():
            raise
        _complain(f"codesearch: answers may be out of date: {error}")
        return Stale.FILES
    if done is None:
        background.index(workspace)
        _complain("codesearch: indexing goes on in the background; this is answered from what is indexed so far")
        return Stale.FILES
    if done.indexed or done.removed:
        registry.note(workspace.root, workspace.layout.folder.absolute())
        errors.print(summary(done), style="dim", soft_wrap=True)
    return Stale.FRESH
