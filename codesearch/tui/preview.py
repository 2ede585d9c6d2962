"""The file around the selected hit, with line numbers, coloured tokens, marked terms, and a bar along the hit.

Drawn line by line, so a page of a thousand lines costs what is on the screen.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from codesearch.tui.look import Palette, palette
from codesearch.tui.source import Page

_ABOVE = 3
"""Lines above a hit that are shown with it."""


class Preview(ScrollView, can_focus=False):
    """Shows one `Page`."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Preview { height: 1fr; background: $background; scrollbar-size: 1 1; scrollbar-size-horizontal: 0; }
    """

    page: Page | None = None

    def show(self, page: Page | None) -> None:
        """Show PAGE, at its hit; nothing where there is none."""
        same = self.page is not None and page is not None and self.page.hit == page.hit
        self.page = page
        lines = page.lines if page else ()
        self.virtual_size = Size(self._gutter + max(map(len, lines), default=0) + 1, len(lines))
        if page and not same:
            top = page.hit.span.start_line - page.start_line
            self.scroll_to(0, self._top(page, top), animate=False, immediate=True, force=True)
        self.refresh()

    def _top(self, page: Page, top: int) -> int:
        """Return the first line to show: where the hit begins, or what was asked for, if that is far below."""
        height = max(1, self.size.height)
        last = page.hit.span.end_line
        marked = [line for line in sorted(page.marks) if page.hit.span.start_line <= line <= last]
        first = max(0, top - _ABOVE)
        if marked and marked[0] - page.start_line >= first + height:
            return marked[0] - page.start_line - height // 3
        return first

    @property
    def _gutter(self) -> int:
        last = self.page.start_line + len(self.page.lines) if self.page else 0
        return max(4, len(str(last))) + 3

    def render_line(self, y: int) -> Strip:
        """Return line Y of the screen."""
        page, colors = self.page, palette(self.app)
        width = self.scrollable_content_region.width
        base = self.rich_style
        at = y + self.scroll_offset.y
        if page is None or page.missing or at >= len(page.lines):
            said = "this file can not be read any more" if page and page.missing and y == 0 else ""
            return Strip([Segment(f"  {said}".ljust(width), base + colors.style("@dim"))])
        number = page.start_line + at
        inside = page.hit.span.start_line <= number <= page.hit.span.end_line
        gutter = Text(f"{number:>{self._gutter - 3}} ", colors.style("@text" if inside else "@dim"))
        gutter.append("▎ " if inside else "  ", colors.style("@accent"))
        code = self._code(page, at, number, colors)[self.scroll_offset.x :]
        code.truncate(max(0, width - len(gutter)), overflow="ellipsis")
        line = Text.assemble(gutter, code, end="")
        return Strip(line.render(self.app.console)).adjust_cell_length(width).apply_style(base)

    @staticmethod
    def _code(page: Page, at: int, number: int, colors: Palette) -> Text:
        code = Text(page.lines[at], colors.style("@text"), no_wrap=True, end="")
        for start, end, name in page.spans[at]:
            if said := colors.code.get(name):
                code.stylize(said, start, end)
        for start, end in page.marks.get(number, ()):
            code.stylize(colors.mark, start, end)
        return code

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Draw anew: all lines move."""
        super().watch_scroll_x(old_value, new_value)
        self.refresh(Region(0, 0, *self.size))
