"""What was typed after `ask`, made sense of: question and paths, many questions, and how to print answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from codesearch.cli import machine, page
from codesearch.cli.lines import Lines, names
from codesearch.cli.links import Links
from codesearch.cli.style import console
from codesearch.cli.surroundings import here
from codesearch.errors import UsageError

if TYPE_CHECKING:
    from codesearch.gist import Gist
    from codesearch.types import Answer, Hit

FORMS: Final = ("--json", "--jsonl", "--vimgrep", "--files-with-matches", "--explain", "--quiet")
"""Ways of printing an answer, of which one can be asked for."""


def question_and_paths(arguments: list[str], root: Path) -> tuple[str, tuple[str, ...]]:
    """Tell the words of a question from the paths behind it; paths come relative to ROOT.

    What is quoted is whole: behind a first argument with a blank in it stand paths. Without quotes all are words, but
    for those at the end that look like paths, with a slash, and are there.

    Raises:
        UsageError: a path is not there, or not in ROOT.
    """
    if len(arguments) > 1 and any(blank in arguments[0].strip() for blank in " \t\n"):
        words, paths = arguments[:1], arguments[1:]
    else:
        first = len(arguments)
        while first > 1 and "/" in arguments[first - 1] and (here().cwd / arguments[first - 1]).exists():
            first -= 1
        words, paths = arguments[:first], arguments[first:]
    return " ".join(words).strip(), tuple(_inside(path, root) for path in paths)


def _inside(path: str, root: Path) -> str:
    root = here().cwd / root
    try:
        found = (here().cwd / path).resolve(strict=True).relative_to(root.resolve())
    except OSError as error:
        raise UsageError(
            f"{path}: no such file or folder. Put the whole question into quotes; paths come behind it."
        ) from error
    except ValueError as error:
        raise UsageError(f"{path} is not in {root.resolve()}. Give --root for another folder.") from error
    return "" if found == Path() else found.as_posix()


def questions(batch: str) -> Iterator[str]:
    """Yield the questions of a file of JSON Lines, as they come; raise UsageError where there is none on a line."""
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


class Seen(Protocol):
    """An answer, and what can be looked up to show it: a folder's, or that of a store."""

    root: Path
    answer: Answer

    def gist(self) -> Gist | None:
        """Return what is known of the best hit."""
        ...

    def lines(self, hit: Hit) -> Sequence[str]:
        """Return the lines of the file that HIT is in."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How answers are printed."""

    form: str = ""
    """One of FORMS; empty for a page on a terminal, and lines elsewhere."""
    color: str = "auto"
    links: str = "default"
    before: int | None = None
    after: int | None = None
    null: bool = False
    max_tokens: int | None = None
    batch: bool = False

    def print(self, seen: Seen, complain: Callable[[str], None]) -> None:
        """Print the answer that is SEEN; what is not a result, COMPLAIN is told."""
        form, answer = self.form, seen.answer
        if self.batch or form == "--json":
            gist = None if self.batch else seen.gist()
            print(machine.as_json(answer, gist, self.max_tokens), flush=True)
        elif form == "--jsonl":
            print("\n".join(machine.as_jsonl(answer, self.max_tokens)))
        elif not answer.hits:
            if form != "--quiet":
                complain(page.nothing(answer))
        elif form == "--quiet":
            pass
        elif form == "--explain":
            print("\n".join(page.explanations(answer)))
        elif form == "--files-with-matches":
            _write(names(answer.hits, null=self._raw))
        elif self.max_tokens is not None:
            _write(page.blocks(answer, self.max_tokens))
        elif form == "--vimgrep" or not sys.stdout.isatty():
            self._print_lines(seen)
        else:
            self._print_page(seen)

    @property
    def _raw(self) -> bool:
        """Whether names may be printed as they are: never on a terminal, which they could steer."""
        return self.null and not sys.stdout.isatty()

    def _print_lines(self, seen: Seen) -> None:
        lines = Lines(
            before=self.before or 0,
            after=self.after or 0,
            column=self.form == "--vimgrep",
            null=self._raw,
            color=console(self.color).color_system is not None,
        )
        _write(lines.of(seen.answer.hits, seen.answer.query, seen.lines))

    def _print_page(self, seen: Seen) -> None:
        context = None if self.before is None and self.after is None else (self.before or 0, self.after or 0)
        shown = page.Page(console(self.color), seen.root, Links(self.links), context)
        shown.print(seen.answer, seen.gist())
        sys.stdout.flush()
        errors = console(self.color, stderr=True)
        errors.print(page.footer(seen.answer), style="dim")
        if seen.answer.indexed < 1:
            errors.print("ask again for more", style="dim")


def _write(parts: Iterator[str]) -> None:
    sys.stdout.writelines(parts)


def form_of(chosen: dict[str, bool]) -> str:
    """Return the one form that was CHOSEN, or none; raise UsageError for two."""
    asked = [form for form in FORMS if chosen.get(form)]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} are two ways of printing an answer: give one.")
    return asked[0] if asked else ""
