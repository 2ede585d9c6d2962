"""Answers for people: a page on a terminal, and blocks of whole code for those who read no terminal.

A hit is a heading (its place, a link; a quiet bar for its score beside the best one's), its name within what it belongs
to, and the lines of it that answer best. On top stands, where one hit seems to be the answer, what is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text

from codesearch.cli.budget import fit
from codesearch.cli.lines import HEIGHT, best_line
from codesearch.cli.visible import visible, visible_line
from codesearch.snippet import Snippet, snippet

if TYPE_CHECKING:
    from rich.console import Console

    from codesearch.cli.links import Links
    from codesearch.gist import Gist
    from codesearch.types import Answer, Hit

_TAB: Final = 4
"""Columns a tab takes on a terminal."""
_BAR: Final = 5
_BAR_FROM: Final = 60
"""Columns from which on there is room for a bar beside the place."""


class Page:
    """Prints answers on a terminal."""

    def __init__(self, console: Console, root: Path, links: Links, context: tuple[int, int] | None = None) -> None:
        """Print on CONSOLE; CONTEXT is how many lines to show before and after the best one, by default a snippet."""
        self._console = console
        self._root = root
        self._links = links
        self._context = context

    def print(self, answer: Answer, gist: Gist | None) -> None:
        """Print the hits of ANSWER, with what is known of the best one above them."""
        if gist:
            self._print_gist(gist)
        best = max((hit.score for hit in answer.hits), default=1.0)
        before = ""
        for hit in answer.hits:
            self._heading(hit, best, first=hit.place != before)
            self._console.print(self._code(hit, answer.query))
            if hit.copies:
                self._print(Text(f"nearly the same: {', '.join(map(visible, hit.copies))}", "dim"))
            self._console.print()
            before = hit.place

    def _print_gist(self, gist: Gist) -> None:
        where = Text.assemble(
            (_breadcrumb(gist.hit) or visible(gist.hit.path), "bold"), " is in ", self._place(gist.hit, gist.line)
        )
        if gist.says:
            where.append(f": {visible(gist.says)}")
        self._console.print(where)
        known = Text(style="dim")
        for label, hits in (("Called by ", gist.callers), ("Tested by ", gist.tests)):
            for number, hit in enumerate(hits):
                known.append(label if number == 0 else ", ")
                place = self._place(hit, hit.span.start_line)
                known.append_text(Text.assemble(_breadcrumb(hit) or visible(hit.path), " (", place, ")"))
            if hits:
                known.append(". ")
        if known:
            known.rstrip()
            self._console.print(known)
        self._console.print()

    def _place(self, hit: Hit, line: int) -> Text:
        link = self._links.to(self._root / hit.path, line)
        return Text(f"{visible(hit.place)}:{line}", Style(color="magenta", link=link or None))

    def _heading(self, hit: Hit, best: float, *, first: bool) -> None:
        width = self._console.width
        lines = f"{hit.span.start_line}-{hit.span.end_line}"
        bar = _bar(hit.score / best if best > 0 else 0.0) if width >= _BAR_FROM else ""
        room = width - (cell_len(bar) + 2 if bar else 0)
        link = self._links.to(self._root / hit.path, hit.span.start_line)
        style = Style(color="magenta", bold=first, dim=not first, link=link or None)
        place = Text()
        place.append(f"{_fitted(visible(hit.place), room - len(lines) - 1)}:{lines}", style)
        if bar:
            place.append(" " * (room - place.cell_len + 2))
            place.append(bar, "dim")
        self._print(place)
        name = _breadcrumb(hit)
        self._print(Text.assemble((f"{name}  " if name else "", "bold"), (str(hit.kind), "dim")))

    def _print(self, text: Text) -> None:
        text.truncate(self._console.width, overflow="ellipsis")
        self._console.print(text, no_wrap=True)

    def _code(self, hit: Hit, query: str) -> Syntax:
        # Made visible before it is cut, so that the columns of the marks are those on the screen.
        text = "\n".join(visible_line(line).expandtabs(_TAB) for line in hit.text.split("\n"))
        shown = self._shown(hit, text, query)
        code = Syntax(
            "\n".join(shown.lines),
            hit.language,
            theme="ansi_dark",
            background_color="default",
            line_numbers=True,
            start_line=shown.start_line,
        )
        for mark in shown.marks:
            line = mark.line - shown.start_line + 1
            code.stylize_range("bold underline", (line, mark.start), (line, mark.end))
        return code

    def _shown(self, hit: Hit, text: str, query: str) -> Snippet:
        if self._context is None:
            return snippet(text, hit.span.start_line, query, HEIGHT)
        before, after = self._context
        line, _, _ = best_line(hit, query)
        whole = snippet(text, hit.span.start_line, query, text.count("\n") + 1)
        first = max(whole.start_line, line - before)
        last = min(whole.start_line + len(whole.lines) - 1, line + after)
        lines = whole.lines[first - whole.start_line : last - whole.start_line + 1]
        return Snippet(first, lines, tuple(mark for mark in whole.marks if first <= mark.line <= last))


def blocks(answer: Answer, max_tokens: int) -> Iterator[str]:
    """Yield the hits of ANSWER as blocks of whole code under their place, in at most MAX_TOKENS in all."""
    shown = fit(answer.hits, max_tokens, _block)
    yield from map(_block, shown)
    if left := len(answer.hits) - len(shown):
        yield f"({left} more do not fit)\n"


def _block(hit: Hit) -> str:
    head = f"{visible(hit.place)}:{hit.span.start_line}-{hit.span.end_line} {visible(hit.symbol)} ({hit.kind})"
    code = "".join(f"{visible_line(line.rstrip(chr(13)))}\n" for line in hit.text.split("\n")) if hit.text else ""
    return f"{head}\n{code}\n" if code else f"{head}\n"


def explanations(answer: Answer) -> Iterator[str]:
    """Yield for each hit the sum that its score is: each part's worth, its name, and why it is worth anything."""
    from codesearch.rank import reason

    for rank, hit in enumerate(answer.hits, 1):
        yield f"{rank}. {visible(hit.place)}:{hit.span.start_line}  {visible(hit.symbol)}".rstrip()
        for name, worth in sorted(hit.reasons, key=lambda part: -abs(part[1])):
            yield f"   {worth:+7.2f}  {name:22} {reason(name)}"
        yield f"   {hit.score:7.2f}  in all\n"


def nothing(answer: Answer) -> str:
    """Return what is said where there is no hit."""
    said = "nothing here seems to answer that"
    if answer.indexed < 1:
        said = f"nothing of the {answer.indexed:.0%} that are indexed seems to answer that"
    if answer.confidence <= 0:
        return said
    return f"{said} (confidence {answer.confidence:.2f}; --min-score 0 shows what is nearest)"


def footer(answer: Answer) -> str:
    """Return the line below a page: how much was found, how fast, and in what state the index was."""
    count = len(answer.hits)
    found = f"{count} result{'s' if count > 1 else ''}"
    state = f"index {answer.state}" if answer.indexed >= 1 else f"{answer.indexed:.0%} indexed so far"
    return f"{found} in {answer.ms:.0f} ms, {state}"


def _breadcrumb(hit: Hit) -> str:
    """Return the name of HIT within what it belongs to."""
    return visible(hit.symbol) if hit.kind == "section" else visible(hit.symbol).replace(".", " › ")


def _bar(share: float) -> str:
    full = round(max(0.0, min(1.0, share)) * _BAR)
    return "━" * full + "─" * (_BAR - full)


def _fitted(path: str, width: int) -> str:
    """Return the end of PATH that fits into WIDTH columns: a file's own name says most."""
    if cell_len(path) <= width:
        return path
    while path and cell_len(path) > width - 1:
        path = path[1:]
    return f"…{path}"
