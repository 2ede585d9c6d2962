"""Line plots on logarithmic axes, side by side, as SVG that a browser and GitHub show on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

_WIDTH: Final = 400
_HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 24, 44, 52
_COLOURS: Final = ("#0969da", "#bc4c00", "#6e7781")
_LEGEND: Final = 40


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: lines by name, each of points (x, y), all above 0."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def figure(title: str, panels: Sequence[Panel], columns: int = 2) -> str:
    """Return PANELS below TITLE, with one legend for all."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    rows = ceil(len(panels) / columns)
    width, height = columns * _WIDTH, rows * _HEIGHT + 2 * _LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12" fill="#1f2328">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{width / 2}" y="24" font-size="15" text-anchor="middle">{escape(title)}</text>',
    ]
    for i, name in enumerate(names):
        at = _LEFT + 140 * i
        parts.append(f'<line x1="{at}" x2="{at + 24}" y1="48" y2="48" stroke="{_COLOURS[i]}" stroke-width="2"/>')
        parts.append(f'<text x="{at + 30}" y="52">{escape(name)}</text>')
    for i, panel in enumerate(panels):
        x, y = i % columns * _WIDTH, i // columns * _HEIGHT + 2 * _LEGEND - 24
        parts.append(f'<g transform="translate({x} {y})">{_panel(panel, names)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, names: Sequence[str]) -> str:
    points = [point for line in panel.lines.values() for point in line]
    if not points:
        return ""
    across = _Axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    down = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts = [
        f'<text x="{middle}" y="{_TOP - 12}" font-weight="bold" text-anchor="middle">{escape(panel.title)}</text>',
        f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(panel.x)}</text>',
        f'<text transform="translate(14 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(panel.y)}</text>",
    ]
    for tick in across.ticks:
        at = across.at(tick)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#d1d9e0"/>')
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{_said(tick)}</text>')
    for tick in down.ticks:
        at = down.at(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#d1d9e0"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_said(tick)}</text>')
    for name, line in panel.lines.items():
        colour = _COLOURS[names.index(name)]
        places = [f"{across.at(x):.1f},{down.at(y):.1f}" for x, y in line]
        parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for place in places:
            x, y = place.split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
    return "".join(parts)


class _Axis:
    """A logarithmic axis over whole powers of ten."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self._low, self._high = floor(log10(min(values))), ceil(log10(max(values)))
        self._high = max(self._high, self._low + 1)
        self._begin, self._end = begin, end

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]

    def at(self, value: float) -> float:
        """Return the coordinate of VALUE."""
        share = (log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)


def _said(tick: float) -> str:
    return f"{tick:,.0f}" if tick >= 1 else f"{tick:g}"
