"""Answers for pipes: `path:line:text` as grep prints it, with context, for vim, or names alone.

Written to standard output as they are: a console would wrap lines and expand tabs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from codesearch.cli.visible import visible, visible_line
from codesearch.snippet import Mark, snippet

if TYPE_CHECKING:
    from codesearch.types import Hit

HEIGHT: Final = 6
"""Lines of a snippet: what shows a definition and its first step, and lets three results stand on 80 x 24."""

Source = Callable[["Hit"], Sequence[str]]
"""Gives the lines of the file that a hit is in."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How to print a hit on a line, or on some."""

    before: int = 0
    after: int = 0
    """Lines of context."""
    column: bool = False
    """`path:line:column:text`, for vim's quickfix list."""
    null: bool = False
    """A NUL behind each path, not a colon, so that any path can be told from what follows."""
    color: bool = False

    def of(self, hits: Iterable[Hit], query: str, source: Source) -> Iterator[str]:
        """Yield what to print of HITS, each with its line's end; SOURCE is asked for context."""
        shown = False
        for hit in hits:
            line, mark, text = best_line(hit, query)
            if not (self.before or self.after):
                yield self._line(hit.place, line, mark, text)
                continue
            if shown:
                yield "--\n"
            shown = True
            lines = source(hit)
            first, last = max(1, line - self.before), min(len(lines), line + self.after)
            for number in range(first, last + 1):
                here = number == line
                yield self._line(hit.place, number, mark if here else None, lines[number - 1], match=here)

    def _line(self, path: str, line: int, mark: Mark | None, text: str, *, match: bool = True) -> str:
        between = ":" if match else "-"
        name = path.replace("\0", "") if self.null else visible(path)
        end = "\0" if self.null else between
        # Vim counts bytes.
        column = len(text[: mark.start].encode("utf-8", "replace")) + 1 if mark else 1
        shown = visible_line(text.rstrip("\r"))
        if not self.color:
            at = f"{line}{between}{column}" if self.column and match else str(line)
            return f"{name}{end}{at}{between}{shown}\n"
        at = f"\x1b[32m{line}\x1b[36m{between}"
        if self.column and match:
            at += f"\x1b[32m{column}\x1b[36m{between}"
        return f"\x1b[35m{name}\x1b[36m{end}{at}\x1b[m{shown}\n"


def names(hits: Iterable[Hit], *, null: bool = False) -> Iterator[str]:
    """Yield the path of each file that has HITS, best first, each with its end."""
    for path in dict.fromkeys(hit.place for hit in hits):
        yield f"{path}\0" if null else f"{visible(path)}\n"


def best_line(hit: Hit, query: str) -> tuple[int, Mark | None, str]:
    """Return number, first mark and text of the line of HIT's snippet that has most of the QUERY's words."""
    shown = snippet(hit.text, hit.span.start_line, query, HEIGHT)
    marks = Counter(mark.line for mark in shown.marks)
    line = max(marks, key=lambda line: (marks[line], -line), default=shown.start_line)
    text = shown.lines[line - shown.start_line] if shown.lines else ""
    return line, next((mark for mark in shown.marks if mark.line == line), None), text
