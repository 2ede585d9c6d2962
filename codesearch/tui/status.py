"""The line at the bottom: the state of the index and of adapting at the left, what the answer took at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from codesearch import events
from codesearch.cli.visible import visible
from codesearch.tui.look import Palette
from codesearch.tui.words import Adapted, Adapting, Answered, Indexed, Opened, Told, Working
from codesearch.types import Stale

_BARS: Final = "▁▂▃▄▅▆▇█"
_WHEEL: Final = "◐◓◑◒"
_POINTS: Final = 16
"""Points of a curve; one a cell."""


@dataclass(slots=True)
class Status:
    """What is known, and how it is said."""

    index: str = "opening"
    busy: bool = True
    """Whether the index is being brought up to date."""
    size: int = 0
    """Bytes that are to be indexed."""
    turn: int = 0
    """Which picture of the wheel is shown while it is busy."""
    ready: bool = False
    """Whether it can answer."""
    state: Stale = Stale.MISSING
    chunks: int = 0
    adapting: str = ""
    curve: list[float] = field(default_factory=list)
    answer: str = ""
    sure: float | None = None

    def hear(self, told: Told) -> None:
        """Take in what the session says."""
        match told:
            case Opened(usable):
                self.ready = usable
                self.index = "looking for changed files" if usable else "no index yet: building it"
            case Working(event):
                self.busy = True
                if isinstance(event, events.Planned):
                    self.size = event.bytes
                if isinstance(event, events.Progress):
                    self.ready = True  # a part of the first index will do
                self.index = _indexing(event, self.size) or self.index
            case Indexed(state=state, chunks=chunks):
                self.busy, self.state, self.chunks = False, state, chunks
                self.ready = state is not Stale.MISSING
                self.index = f"{_index(told)}"
            case Adapting(event):
                self._train(event)
            case Adapted():
                self.adapting, self.curve = "", []
            case Answered():
                self.answered(told)

    def answered(self, told: Answered) -> None:
        """Take in an answer."""
        count = len(told.hits)
        self.answer = f"{count} in {told.ms:.0f} ms" if told.enough else f"{told.ms:.0f} ms"
        if told.indexed < 1:
            self.answer += f" of {told.indexed:.0%}"
        self.sure = told.confidence

    def _train(self, event: events.Event) -> None:
        if self.adapting.endswith("stopping"):
            return
        match event:
            case events.Adapting(stage=stage):
                self.adapting = f"adapting: {visible(stage)}"
            case events.Trained():
                said = [f"adapting {event.progress:.0%}"]
                if event.mrr is not None:
                    self.curve = self.curve or [event.before]
                    self.curve.append(event.mrr)
                    said.append(f"{sparkline(self.curve)} MRR {event.before:.3f} → {event.mrr:.3f}")
                if event.gain is not None:
                    said.append(f"gain {event.gain:.2f}")
                self.adapting = "  ".join(said)

    def line(self, width: int, colors: Palette) -> Text:
        """Return it on WIDTH cells; what the answer took gives way first."""
        dot = _WHEEL[self.turn % len(_WHEEL)] if self.busy else "●"
        dot_style = "@warning" if not self.busy and self.state is not Stale.FRESH else "@accent"
        left = Text.assemble((f" {dot} ", colors.style(dot_style)), (self.index, colors.style("@dim")))
        if self.adapting:
            left.append("   ").append(self.adapting, colors.style("@text"))
        right = Text(self.answer, colors.style("@dim"))
        if self.sure is not None:
            right.append(f"   confidence {self.sure:.2f}", colors.style("@dim"))
        right.append(" ")
        if left.cell_len + right.cell_len + 2 > width:
            right = Text("")
        left.truncate(width - right.cell_len, overflow="ellipsis", pad=True)
        return Text.assemble(left, right, end="")


def sparkline(values: Sequence[float]) -> str:
    """Return the course of VALUES, the last of them, from their lowest to their highest."""
    shown = values[-_POINTS:]
    low, high = min(shown), max(shown)
    return "".join(_BARS[round((value - low) / (high - low) * 7) if high > low else 0] for value in shown)


def _indexing(event: events.Event, size: int) -> str:
    match event:
        case events.Scanning(files=files):
            return f"looking at {files:,} files"
        case events.Planned(files=files, removed=removed) if files or removed:
            return f"indexing {files:,} files"
        case events.Progress(files=files, chunks=chunks, bytes=done, wait=wait):
            share = f"{done / size:.0%}, " if size else ""
            return f"indexing: {share}{files:,} files, {chunks:,} chunks{wait}"
        case events.Compacting():
            return "compacting"
        case events.Warned(message=message):
            return visible(message)
    return ""


def _index(told: Indexed) -> str:
    if told.state is Stale.MISSING:
        return f"no index: {visible(told.said)}"
    holds = f"{told.chunks:,} chunks of {told.files:,} files"
    state = "fresh" if told.state is Stale.FRESH else f"may be out of date: {visible(told.said)}"
    return f"{state}   {holds}{'   adapted' if told.adapted else ''}"
