"""A widget of many lines that draws those it shows, and scrolls by itself.

Textual's own `ScrollView` lays the whole screen out anew whenever the number of lines changes, which here is with every
key: that took half of the time from a key to its answer.
"""

from __future__ import annotations

from abc import abstractmethod

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from codesearch.tui.look import Palette, palette

_WHEEL = 3
"""Lines that one notch of a wheel moves."""
_THUMB = "▐"


class Pane(Widget):
    """Lines 0 to `count`, of which those from `top` on are shown; beside them a bar where there are more."""

    ALLOW_SELECT = False

    count = 0
    top = 0
    left = 0
    """Columns that are scrolled out, for those who draw so."""

    @abstractmethod
    def draw(self, at: int, width: int, colors: Palette) -> tuple[Text, Style]:
        """Return line AT on WIDTH cells, and the style below it."""

    def scroll_lines(self, lines: int) -> None:
        """Show what is LINES further down, as far as there is anything."""
        self.show_from(self.top + lines)

    def show_from(self, top: int) -> None:
        """Show the lines from TOP on, as far as there are enough."""
        self.top = max(0, min(top, self.count - self.size.height))
        self.refresh()

    def on_resize(self) -> None:
        """Leave no room unused."""
        self.show_from(self.top)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.scroll_lines(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.scroll_lines(-_WHEEL)

    def render_line(self, y: int) -> Strip:
        """Return line Y of what is shown."""
        colors, width = palette(self.app), self.size.width - 1
        at = y + self.top
        if at < self.count:
            text, below = self.draw(at, width, colors)
            text.end = ""
            strip = Strip(text.render(self.app.console)).adjust_cell_length(width).apply_style(below)
        else:
            strip = Strip([Segment(" " * width, colors.page)], width)
        thumb = Segment(_THUMB, colors.thumb) if self._in_thumb(y) else Segment(" ", colors.page)
        return Strip([*strip, thumb], width + 1)

    def _in_thumb(self, y: int) -> bool:
        height = self.size.height
        if self.count <= height:
            return False
        size = max(1, height * height // self.count)
        start = round(self.top / (self.count - height) * (height - size))
        return start <= y < start + size
