"""Colours: a dark and a light page with one accent, and one without any colour at all.

Widgets that draw themselves line by line ask for `palette(app)`; everything else takes the theme's variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from rich.style import Style
from textual.theme import Theme

if TYPE_CHECKING:
    from textual.app import App


_ANSI: Final = (
    "ansi-background",
    "ansi-foreground",
    "input-selection-background",
    "input-selection-foreground",
    "screen-selection-background",
    "screen-selection-foreground",
    "block-hover-background",
)
"""Variables that Textual wants of a theme in the terminal's own colours."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of one theme, by what they say."""

    name: str
    dark: bool
    back: str
    raised: str
    """Behind the selected row, and behind what lies above the page."""
    line: str
    text: str
    dim: str
    accent: str
    warning: str
    code: Mapping[str, str]
    """Styles of the classes of `source.CLASSES`."""

    @cached_property
    def theme(self) -> Theme:
        """The same for Textual."""
        return Theme(
            self.name,
            primary=self.accent,
            secondary=self.accent,
            accent=self.accent,
            foreground=self.text,
            background=self.back,
            surface=self.back,
            panel=self.raised,
            warning=self.warning,
            error=self.warning,
            success=self.accent,
            dark=self.dark,
            ansi=self.plain,
            variables={
                **(dict.fromkeys(_ANSI, "ansi_default") if self.plain else {}),
                "rule": self.line,
                "dim": self.dim,
                "border": self.line,
                "border-blurred": self.line,
                "block-cursor-foreground": self.text,
                "block-cursor-background": self.line,
                "block-cursor-text-style": "reverse" if self.plain else "bold",
                "input-cursor-text-style": "reverse",
                "scrollbar": self.line,
                "scrollbar-hover": self.dim,
                "scrollbar-active": self.dim,
                "scrollbar-background": self.back,
                "scrollbar-background-hover": self.back,
                "scrollbar-background-active": self.back,
                "scrollbar-corner-color": self.back,
            },
        )

    @property
    def plain(self) -> bool:
        """Whether this has no colours, so that weight and reversal have to say everything."""
        return self.back == "ansi_default"

    def style(self, said: str) -> Style:
        """Return the style SAID, in which `@accent` and the like name colours of this palette."""
        return _parse(self, said)

    @cached_property
    def page(self) -> Style:
        """Below everything."""
        return Style.null() if self.plain else Style(color=self.text, bgcolor=self.back)

    @cached_property
    def row(self) -> Style:
        """Below the selected row."""
        return Style(reverse=True) if self.plain else Style(color=self.text, bgcolor=self.raised)

    @cached_property
    def thumb(self) -> Style:
        """Of a scroll bar."""
        return Style.null() if self.plain else Style(color=self.line, bgcolor=self.back)

    @property
    def mark(self) -> Style:
        """On a term of the question."""
        return self.style("bold underline @accent")


@cache
def _parse(palette: Palette, said: str) -> Style:
    words = []
    for word in said.split():
        if not word.startswith("@"):
            words.append(word)
        elif not palette.plain:
            words.append(getattr(palette, word[1:]))
        elif word == "@dim":
            words.append("dim")
    return Style.parse(" ".join(words)) if words else Style.null()


DARK: Final = Palette(
    "codesearch-dark",
    dark=True,
    back="#15171c",
    raised="#23272f",
    line="#30353f",
    text="#d6d9df",
    dim="#7f8794",
    accent="#6fb7d6",
    warning="#d9a86c",
    code={
        "comment": "italic #747c89",
        "string": "#a3c29a",
        "number": "#d3ae8b",
        "keyword": "#b3a4d4",
        "name": "bold #d6d9df",
        "type": "#9fbccc",
        "operator": "#99a0ac",
    },
)
LIGHT: Final = Palette(
    "codesearch-light",
    dark=False,
    back="#fbfbf9",
    raised="#e9eaea",
    line="#d3d5d6",
    text="#24272d",
    dim="#6c737e",
    accent="#0b6a8f",
    warning="#96560f",
    code={
        "comment": "italic #787f8a",
        "string": "#3d7031",
        "number": "#96560f",
        "keyword": "#6a4a9c",
        "name": "bold #24272d",
        "type": "#2f6076",
        "operator": "#5c626c",
    },
)
PLAIN: Final = Palette(
    "codesearch-plain",
    dark=True,
    back="ansi_default",
    raised="ansi_default",
    line="ansi_default",
    text="ansi_default",
    dim="ansi_default",
    accent="ansi_default",
    warning="ansi_default",
    code={"comment": "dim italic", "keyword": "bold"},
)
ALL: Final = {palette.name: palette for palette in (DARK, LIGHT, PLAIN)}


def palette(app: App[Any]) -> Palette:
    """Return what APP is painted with."""
    return ALL.get(app.theme, DARK)


def preferred(environ: Mapping[str, str]) -> Palette:
    """Return what fits the terminal, as far as it says: NO_COLOR, else COLORFGBG, which few set, else dark."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "vt100":
        return PLAIN
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if background in ("7", "15") else DARK
