"""The list of hits: place, symbol, kind and a quiet bar for the score; headings between them where they are grouped.

Two lines a hit beside the preview, one above it. Drawn line by line: forty hits are one widget, not forty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive

from codesearch.cli.visible import visible
from codesearch.tui.look import Palette
from codesearch.tui.pane import Pane
from codesearch.types import Hit

_BAR: Final = 6
"""Cells of a full bar."""
_KIND: Final = 8
"""Cells of the longest kind."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line between groups."""

    text: str


Row = Hit | Heading


class Listing(Pane, can_focus=True):
    """Rows, of which one is selected and some are marked."""

    DEFAULT_CSS = "Listing { height: 1fr; }"

    tall: reactive[bool] = reactive(True)
    """Whether a hit takes two lines."""

    class Selected(Message):
        """Another row is selected, or none."""

    class Chosen(Message):
        """The selected hit is to be opened."""

    def __init__(self, id: str) -> None:
        """Show nothing yet."""
        super().__init__(id=id)
        self.rows: tuple[Row, ...] = ()
        self.marked: dict[str, Hit] = {}
        """By key, in the order in which they were marked."""
        self._at = -1
        self._lines: list[tuple[int, int]] = []
        """For each line: which row, and which line of it."""
        self._best = 0.0

    def show(self, rows: Sequence[Row], selected: str = "") -> None:
        """Show ROWS, with the hit called SELECTED selected, or the first."""
        self.rows = tuple(rows)
        hits = self.hits
        self._best = max((hit.score for hit in hits), default=0.0)
        self._at = next((i for i, row in enumerate(rows) if isinstance(row, Hit) and row.key == selected), -1)
        if self._at < 0:
            self._at = next((i for i, row in enumerate(rows) if isinstance(row, Hit)), -1)
        self._lay()
        if not selected:
            self.top = 0
        self._moved()

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The rows that are hits."""
        return tuple(row for row in self.rows if isinstance(row, Hit))

    @property
    def hit(self) -> Hit | None:
        """The selected one."""
        row = self.rows[self._at] if 0 <= self._at < len(self.rows) else None
        return row if isinstance(row, Hit) else None

    def move(self, step: int) -> None:
        """Select the hit that is STEP further down, or the last on the way there."""
        where = [i for i, row in enumerate(self.rows) if isinstance(row, Hit)]
        if not where:
            return
        now = where.index(self._at) if self._at in where else 0
        self._select(where[min(max(0, now + step), len(where) - 1)])

    def page(self, pages: int) -> None:
        """Select what is PAGES screens further down."""
        self.move(pages * max(1, self.size.height // (2 if self.tall else 1) - 1))

    def mark(self) -> None:
        """Mark the selected hit, or take its mark away, and go on to the next."""
        if self.hit:
            self._toggle(self.hit)
            self.move(1)
            self.refresh()

    def _toggle(self, hit: Hit) -> None:
        if self.marked.pop(hit.key, None) is None:
            self.marked[hit.key] = hit

    def _select(self, at: int) -> None:
        if at != self._at:
            self._at = at
            self._moved()

    def _moved(self) -> None:
        where = [y for y, (row, _) in enumerate(self._lines) if row == self._at]
        if where:
            top, height = self.top, max(1, self.size.height)
            # The heading above a group's first hit belongs to what is looked at.
            first = where[0] - (where[0] > 0 and isinstance(self.rows[self._at - 1], Heading))
            wanted = min(top, first) if first < top else max(top, where[-1] - height + 1)
            self.show_from(wanted)
        self.refresh()
        self.post_message(self.Selected())

    def watch_tall(self) -> None:
        """Lay the rows anew."""
        self._lay()

    def _lay(self) -> None:
        self._lines = [
            (i, line)
            for i, row in enumerate(self.rows)
            for line in range(2 if self.tall and isinstance(row, Hit) else 1)
        ]
        self.count = len(self._lines)
        self.refresh()

    def draw(self, at: int, width: int, colors: Palette) -> tuple[Text, Style]:
        """Return line AT on WIDTH cells, and the style below it."""
        row, line = self._lines[at]
        here = row == self._at
        text = self._text(self.rows[row], line, width, colors, here)
        text.truncate(width, overflow="ellipsis")
        return text, colors.row if here else colors.page

    def _text(self, row: Row, line: int, width: int, colors: Palette, here: bool) -> Text:
        if isinstance(row, Heading):
            return Text.assemble((f"  {row.text}", colors.style("@accent")), end="")
        edge = Text("▌" if here else " ", colors.style("@accent"), end="")
        edge.append("● " if row.key in self.marked and line == 0 else "  ", colors.style("@accent"))
        place, kept = self._place(row, colors), len(visible(row.repository))
        symbol, kind = _name(row), Text(row.kind, colors.style("@dim"))
        bar = self._bar(row, colors, here)
        if not self.tall:
            place = _fitted(place, self._column(width), kept)
            symbol_style = colors.style("bold @text" if here else "@text")
            left = Text.assemble(place, "  ", (symbol, symbol_style))
            return _apart(edge, left, Text.assemble(f"{'':{_KIND - len(kind)}}", kind, "  ", bar), width)
        if line == 0:
            return _apart(edge, Text(symbol, colors.style("bold @text")), kind, width)
        return _apart(edge, _fitted(place, width - _BAR - 6, kept), bar, width)

    def _column(self, width: int) -> int:
        """Return how wide the column of places is: as the longest, but no more than half."""
        longest = max((len(hit.place) + len(str(hit.span.start_line)) + 1 for hit in self.hits), default=0)
        return min(longest, max(12, width // 2 - 6))

    @staticmethod
    def _place(hit: Hit, colors: Palette) -> Text:
        folder, _, name = visible(hit.place).rpartition("/")
        place = Text(f"{folder}/" if folder else "", colors.style("@dim"))
        place.append(name, colors.style("@text"))
        return place.append(f":{hit.span.start_line}", colors.style("@dim"))

    def _bar(self, hit: Hit, colors: Palette, here: bool) -> Text:
        share = min(max(hit.score / self._best, 0.0), 1.0) if self._best > 0 else 0.0
        halves = max(1, round(share * _BAR * 2))
        full = "━" * (halves // 2) + "╸" * (halves % 2)
        bar = Text(full, colors.style("@accent" if here else "@dim"))
        return bar.append(" " * (_BAR - len(full)) if colors.plain else "━" * (_BAR - len(full)), colors.style("@line"))

    def on_click(self, event: events.Click) -> None:
        """Select what is clicked; at its left edge mark it; twice open it."""
        at = event.y + self.top
        if at >= len(self._lines) or not isinstance(self.rows[self._lines[at][0]], Hit):
            return
        self._select(self._lines[at][0])
        if event.x < 3 and self.hit:
            self._toggle(self.hit)
            self.refresh()
        elif event.chain == 2:
            self.post_message(self.Chosen())


def _name(hit: Hit) -> str:
    """Return what HIT is called; code without a name is called by its first line."""
    lines = (line.strip() for line in hit.text.split("\n"))
    return visible(hit.symbol or next((line for line in lines if any(map(str.isalnum, line))), "…"))


def _apart(edge: Text, left: Text, right: Text, width: int) -> Text:
    """Return EDGE, LEFT and RIGHT on WIDTH cells, LEFT cut at its end where they do not fit."""
    left.truncate(max(4, width - edge.cell_len - right.cell_len - 3), overflow="ellipsis")
    gap = max(1, width - 1 - edge.cell_len - left.cell_len - right.cell_len)
    return Text.assemble(edge, left, " " * gap, right, " ", end="")


def _fitted(place: Text, width: int, kept: int) -> Text:
    """Return PLACE on WIDTH cells, cut at its beginning: the file's name says more than the folders above it.

    Its first KEPT letters, the name of a repository, stay where they leave half of it.
    """
    if place.cell_len > width:
        kept = kept if 2 * kept <= width else 0
        place = Text.assemble(place[:kept], "…", place[len(place) - width + 1 + kept :])
    return Text.assemble(place, " " * (width - place.cell_len))
