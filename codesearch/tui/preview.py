"""The file around the selected hit, with line numbers, coloured tokens, marked terms, and a bar along the hit."""

from __future__ import annotations

from typing import Final

from rich.style import Style
from rich.text import Text
from textual import events

from codesearch.tui.look import Palette
from codesearch.tui.pane import Pane
from codesearch.tui.source import Page

_ABOVE: Final = 3
"""Lines above a hit that are shown with it."""
_ASIDE: Final = 8
"""Columns that a wheel turned with shift moves."""


class Preview(Pane, can_focus=False):
    """Shows one `Page`."""

    DEFAULT_CSS = "Preview { height: 1fr; }"

    page: Page | None = None

    def show(self, page: Page | None) -> None:
        """Show PAGE, at its hit; nothing where there is none."""
        same = self.page is not None and page is not None and _place(self.page) == _place(page)
        self.page = page
        self.count = max(1, len(page.lines)) if page else 0
        if page and not same:
            self.left = 0
            self.show_from(self._beginning(page))
        self.refresh()

    def _beginning(self, page: Page) -> int:
        """Return the first line to show: where the hit begins, or what was asked for, if that is far below."""
        height = max(1, self.size.height)
        first = max(0, page.hit.span.start_line - page.start_line - _ABOVE)
        marked = [line for line in page.marks if page.hit.span.start_line <= line <= page.hit.span.end_line]
        if marked and min(marked) - page.start_line >= first + height:
            return min(marked) - page.start_line - height // 3
        return first

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        """Show what is right of it."""
        event.stop()
        self.left += _ASIDE
        self.refresh()

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        """Show what is left of it."""
        event.stop()
        self.left = max(0, self.left - _ASIDE)
        self.refresh()

    def draw(self, at: int, width: int, colors: Palette) -> tuple[Text, Style]:
        """Return line AT on WIDTH cells, and the style below it."""
        page = self.page
        if page is None or page.missing:
            return Text("  this file can not be read any more"), colors.page
        number = page.start_line + at
        inside = page.hit.span.start_line <= number <= page.hit.span.end_line
        digits = max(4, len(str(page.start_line + len(page.lines))))
        gutter = Text(f"{number:>{digits}} ", colors.style("@text" if inside else "@dim"))
        gutter.append("▎ " if inside else "  ", colors.style("@accent"))
        code = Text(page.lines[at], colors.style("@text"), no_wrap=True)
        for start, end, name in page.spans[at]:
            if said := colors.code.get(name):
                code.stylize(said, start, end)
        for start, end in page.marks.get(number, ()):
            code.stylize(colors.mark, start, end)
        code = code[self.left :] if self.left else code
        code.truncate(max(0, width - len(gutter)), overflow="ellipsis")
        return Text.assemble(gutter, code), colors.page


def _place(page: Page) -> tuple[str, int, str]:
    return page.hit.key, page.hit.span.start_line, page.query
