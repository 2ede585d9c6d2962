"""What opens above the page and closes with Escape: choosing filters, typing paths, earlier questions, help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from codesearch.cli.visible import visible
from codesearch.tui.look import palette

_CSS = """
Popup { align: center middle; background: $background 60%; }
Popup:ansi { background: ansi_default; }
Popup > Vertical {
    width: 60; max-width: 94%; height: auto; max-height: 80%; background: $panel; padding: 1 2; border: none;
}
Popup:ansi > Vertical { border: solid ansi_default; padding: 0 1; }
Popup .title { color: $accent; text-style: bold; margin-bottom: 1; }
Popup .foot { color: $dim; margin-top: 1; }
Popup OptionList {
    height: auto; max-height: 14; background: $panel; border: none; padding: 0; scrollbar-size: 1 1;
}
Popup OptionList > .option-list--option-highlighted { background: $rule; text-style: none; }
Popup OptionList:ansi > .option-list--option-highlighted { text-style: reverse; }
Popup OptionList:focus { border: none; background-tint: transparent; }
Popup Input { background: $panel; border: none; padding: 0; height: 1; margin-bottom: 1; }
Popup Input:focus { border: none; background-tint: transparent; }
Popup VerticalScroll { height: auto; max-height: 100%; background: $panel; scrollbar-size: 1 1; }
Popup.wide > Vertical { width: 76; max-height: 100%; padding: 0 2; }
Popup.wide .title, Popup.wide .foot { margin: 0; }
"""


class Popup(ModalScreen[str | None]):
    """A panel in the middle of the page; a click beside it closes it, as Escape does."""

    DEFAULT_CSS = _CSS
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "close")]

    title_text = ""
    foot_text = "enter choose   esc close"

    def compose(self) -> ComposeResult:
        """Lay the panel out."""
        with Vertical():
            yield Static(Text(self.title_text), classes="title")
            yield from self.inner()
            yield Static(Text(self.foot_text), classes="foot")

    def inner(self) -> ComposeResult:
        """Lay out what is between title and foot."""
        yield from ()

    def on_click(self, event: Click) -> None:
        """Close, where the click is beside the panel."""
        if self.get_widget_at(event.screen_x, event.screen_y)[0] is self:
            self.dismiss()


class Choice(Popup):
    """Some of a few things; each change counts at once, as the page behind shows."""

    foot_text = "space, enter or click toggle   esc close"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "switch", "toggle")]

    def __init__(
        self, title: str, options: Sequence[tuple[str, str]], chosen: set[str], tell: Callable[[set[str]], None]
    ) -> None:
        """OPTIONS are names with what is said of them; CHOSEN are those that count; TELL hears of each change."""
        super().__init__()
        self.title_text = title
        self._options, self._chosen, self._tell = options, set(chosen), tell

    def inner(self) -> ComposeResult:
        """Lay out the options."""
        yield OptionList(*[Option(self._line(name, said)) for name, said in self._options], markup=False)

    def _line(self, name: str, said: str) -> Text:
        dot = ("● ", palette(self.app).style("@accent")) if name in self._chosen else ("○ ", "")
        return Text.assemble(dot, f"{visible(name):24}", (f"{said:>12}", palette(self.app).style("@dim")))

    def action_switch(self) -> None:
        """Toggle what is highlighted."""
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _toggled(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        name, said = self._options[event.option_index]
        self._chosen ^= {name}
        event.option_list.replace_option_prompt_at_index(event.option_index, self._line(name, said))
        self._tell(set(self._chosen))


class Typed(Popup):
    """A line of text."""

    foot_text = "enter apply   empty lets all through   esc close"

    def __init__(self, title: str, text: str, said: str) -> None:
        """Begin with TEXT; SAID explains."""
        super().__init__()
        self.title_text, self._text, self._said = title, text, said

    def inner(self) -> ComposeResult:
        """Lay out the line."""
        yield Input(self._text, placeholder=self._said, select_on_focus=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)


class Earlier(Popup):
    """Questions asked before, the latest first; typing narrows them."""

    title_text = "earlier questions"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down,ctrl+r", "move(1)", show=False, priority=True),
    ]

    def __init__(self, questions: Sequence[str]) -> None:
        """QUESTIONS come with the latest last."""
        super().__init__()
        self._all = [*reversed(questions)]
        self._shown = self._all

    def inner(self) -> ComposeResult:
        """Lay out the line and the questions."""
        yield Input(placeholder="type to narrow")
        yield OptionList(*map(_question, self._all), markup=False)

    def on_mount(self) -> None:
        """Highlight the latest."""
        self.query_one(OptionList).can_focus = False
        self.query_one(OptionList).highlighted = 0

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        event.stop()
        words = event.value.lower().split()
        self._shown = [one for one in self._all if all(word in one.lower() for word in words)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([*map(_question, self._shown)])
        options.highlighted = 0 if self._shown else None

    def action_move(self, step: int) -> None:
        """Highlight another."""
        options = self.query_one(OptionList)
        if self._shown:
            options.highlighted = ((options.highlighted or 0) + step) % len(self._shown)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        at = self.query_one(OptionList).highlighted
        self.dismiss(self._shown[at] if at is not None and at < len(self._shown) else None)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._shown[event.option_index])


def _question(text: str) -> Option:
    return Option(Text(visible(text), no_wrap=True, overflow="ellipsis"))


KEYS = (
    ("asking", ()),
    ("type", "ask; answers come while you type"),
    ("↑ ↓  pgup pgdn", "go through the list"),
    ("enter", "open in $VISUAL or $EDITOR, all that are marked"),
    ("tab", "mark, and go on"),
    ("esc", "to the list and back, or out of related code"),
    ("ctrl+r", "earlier questions"),
    ("shift+↑ ↓", "scroll the file"),
    ("anywhere, or in the list", ()),
    ("F2  l", "language"),
    ("F3  p", "paths"),
    ("F4  c", "kind of code"),
    ("F5  t", "tests on or off"),
    ("F6  r", "related code: tests, callers, documentation"),
    ("F7  e", "explain the score"),
    ("F8  n", "what is nearest, where nothing answers"),
    ("F9  u", "bring the index up to date"),
    ("ctrl+t  a", "adapt the retriever to this folder, or stop that"),
    ("ctrl+y  y", "copy path:line of what is selected or marked"),
    ("ctrl+s  s", "copy its code"),
    ("ctrl+l  T", "light or dark"),
    ("ctrl+c  q", "quit"),
)


class Help(Popup):
    """All keys."""

    title_text = "codesearch"
    foot_text = "esc close"

    def __init__(self) -> None:
        """Make it wide."""
        super().__init__(classes="wide")

    def inner(self) -> ComposeResult:
        """Lay out the keys."""
        colors = palette(self.app)
        lines = Text()
        for key, said in KEYS:
            if said:
                lines.append(f"  {key:<18}", colors.style("@accent")).append(f"{said}\n", colors.style("@text"))
            else:
                lines.append(f"{key}\n", colors.style("bold @text"))
        lines.rstrip()
        with VerticalScroll():
            yield Static(lines)
