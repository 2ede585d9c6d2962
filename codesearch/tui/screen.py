"""The page: a line to type in, filters, the list of hits beside the file around the selected one, and a status line.

Everything shown is what the session said last. The page keeps no state of the index; it asks, and drops answers that
were overtaken.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input, Static

from codesearch.cli.visible import visible, visible_line
from codesearch.tui.listing import Heading, Listing, Row
from codesearch.tui.look import palette
from codesearch.tui.popups import Choice, Earlier, Help, Typed
from codesearch.tui.preview import Preview
from codesearch.tui.searched import Searched
from codesearch.tui.session import explain
from codesearch.tui.source import NAME, Page
from codesearch.tui.status import Status
from codesearch.tui.words import KINDS, Adapted, Answered, Indexed, Only, Question, Refused, Related, Told
from codesearch.types import Hit, Kind, Stale

if TYPE_CHECKING:
    from codesearch.tui.app import CodesearchApp

_SHORTEST, _LONGEST = 0.01, 0.15
"""Seconds to wait for another key before asking; in between, as long as the last answer took."""
_RESTED: Final = 2.0
"""Seconds after which a question that stands is one that was meant, and is remembered."""
_SETTLE: Final = 2.0
"""Seconds between two refreshes that changed files bring about."""
_TURN: Final = 0.25
"""Seconds between two pictures of the wheel that turns while the index is busy."""
WIDE: Final = 100
"""Columns from which on list and file stand side by side."""
_TITLES: Final = {
    "test": "tests",
    "documentation": "documentation",
    "caller": "callers",
    "similar": "alike",
}


@dataclass(slots=True)
class _View:
    """One list that can be come back to."""

    rows: tuple[Row, ...] = ()
    query: str = ""
    """What is marked in the files."""
    subject: Hit | None = None
    """What its hits are related to; None where they answer a question."""
    selected: str = ""
    """Key of the hit that was selected when it was left."""


@dataclass(slots=True)
class _Asked:
    """Where the conversation stands."""

    number: int = 0
    """Of the latest question."""
    shown: int = 0
    """Of the one whose answer is shown."""
    only: Only = field(default_factory=Only)
    nearest: bool = False
    """Whether hits are shown that do not seem to answer."""
    answer: Answered | None = None
    typed_at: float = 0.0


class Chip(Static):
    """One filter: its key, its name, and what it lets through."""

    DEFAULT_CSS = "Chip { width: auto; height: 1; margin-right: 3; } Chip:hover { text-style: underline; }"

    def __init__(self, key: str, name: str, action: str) -> None:
        """Do ACTION when clicked."""
        super().__init__(id=f"chip-{name}")
        self._key, self._name, self._action = key, name, action
        self.value = "any"

    def show(self, value: str) -> None:
        """Let it say VALUE."""
        self.value = value
        self.refresh(layout=True)

    def render(self) -> Text:
        """Return it as text."""
        colors = palette(self.app)
        set_ = self.value not in ("any", "on")
        value = (visible(self.value), colors.style("bold @accent" if set_ else "@text"))
        return Text.assemble((f"{self._key} {self._name} ", colors.style("@dim")), value)

    async def on_click(self) -> None:
        """Do what it is for."""
        await self.run_action(self._action)


class SearchScreen(Screen[None]):
    """The page."""

    DEFAULT_CSS = """
    SearchScreen { background: $background; color: $foreground; layers: base; }
    #top { height: 1; margin: 0 1; }
    #prompt { width: 2; color: $accent; text-style: bold; }
    #question { width: 1fr; height: 1; border: none; padding: 0; background: $background; }
    #question:focus { border: none; background-tint: transparent; }
    #place { width: auto; max-width: 40%; color: $dim; text-align: right; padding-left: 2; }
    #chips { height: 1; margin: 0 1; padding-left: 2; }
    #crumb { height: 1; padding: 0 1; color: $accent; display: none; }
    #crumb.on { display: block; }
    #title { height: 1; padding: 0 1; }
    #said { height: auto; padding: 1 3; color: $dim; display: none; }
    #said.on { display: block; }
    #why { height: auto; max-height: 50%; border-top: solid $rule; display: none; scrollbar-size: 1 1; }
    #why.on { display: block; }
    #explain { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #status { height: 1; }
    #hints { height: 1; color: $dim; padding: 0 1; }
    #body { height: 1fr; layout: vertical; border-top: solid $rule; }
    #list-side { height: 2fr; max-height: 12; }
    #file-side { height: 3fr; border-top: solid $rule; }
    SearchScreen.-wide #body { layout: horizontal; }
    SearchScreen.-wide #list-side { width: 2fr; max-width: 64; height: 1fr; max-height: 100%; }
    SearchScreen.-wide #file-side { width: 3fr; height: 1fr; border-top: none; border-left: solid $rule; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("shift+up", "scroll_file(-3)", show=False),
        Binding("shift+down", "scroll_file(3)", show=False),
        Binding("enter", "open", show=False),
        Binding("tab", "mark", show=False, priority=True),
        Binding("shift+tab", "move(-1)", show=False, priority=True),
        Binding("escape", "back", show=False),
        Binding("ctrl+r", "earlier", show=False),
        Binding("f1", "help", show=False),
        Binding("f2", "language", show=False),
        Binding("f3", "paths", show=False),
        Binding("f4", "kind", show=False),
        Binding("f5", "tests", show=False),
        Binding("f6", "related", show=False),
        Binding("f7", "explain", show=False),
        Binding("f8", "nearest", show=False),
        Binding("f9", "refresh", show=False),
        Binding("ctrl+t", "adapt", show=False),
        Binding("ctrl+y", "copy_place", show=False, priority=True),
        Binding("ctrl+s", "copy_code", show=False),
        Binding("ctrl+l", "app.turn_light", show=False),
    ]
    LETTERS: ClassVar = {
        "question_mark": "help",
        "l": "language",
        "p": "paths",
        "c": "kind",
        "t": "tests",
        "r": "related",
        "e": "explain",
        "n": "nearest",
        "u": "refresh",
        "a": "adapt",
        "y": "copy_place",
        "s": "copy_code",
        "T": "app.turn_light",
        "q": "app.quit",
        "o": "open",
        "space": "mark",
        "j": "move(1)",
        "k": "move(-1)",
        "g": "page(-1000)",
        "G": "page(1000)",
        "J": "scroll_file(3)",
        "K": "scroll_file(-3)",
        "slash": "back",
        "i": "back",
    }
    """What letters do while the list has the focus."""

    def __init__(self, searched: Searched) -> None:
        """Search what is SEARCHED."""
        super().__init__()
        self.searched = searched
        self.asked = _Asked()
        self.view = _View()
        self.views: list[_View] = []
        """Those that were left for `view`."""
        self.status = Status()
        self.languages: tuple[tuple[str, int], ...] = ()
        self._waiting: Timer | None = None
        self._last_ms = 0.0
        self._refreshed = 0.0
        self._wanted_related = 0

    @property
    def _app(self) -> CodesearchApp:
        return cast("CodesearchApp", self.app)

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        with Horizontal(id="top"):
            yield Static("›", id="prompt", markup=False)
            yield Input(placeholder="ask this code a question", id="question", select_on_focus=False)
            yield Static(Text(visible(self.searched.name)), id="place")
        with Horizontal(id="chips"):
            yield Chip("F2", "language", "screen.language")
            yield Chip("F3", "path", "screen.paths")
            yield Chip("F4", "kind", "screen.kind")
            yield Chip("F5", "tests", "screen.tests")
        with Container(id="body"):
            with Vertical(id="list-side"):
                yield Static(id="crumb", markup=False)
                yield Static(id="said", markup=False)
                yield Listing(id="list")
            with Vertical(id="file-side"):
                yield Static(id="title", markup=False)
                yield Preview(id="file")
                with VerticalScroll(id="why", can_focus=False):
                    yield Static(id="explain", markup=False)
        yield Static(id="status", markup=False)
        yield Static(id="hints", markup=False)

    def on_mount(self) -> None:
        """Begin with the question."""
        self.query_one("#chip-tests", Chip).show("on")
        self.query_one(Input).focus()
        self._say_status()
        self._say_hints()
        self.set_interval(_TURN, self._turn)

    def _turn(self) -> None:
        if self.status.busy:
            self.status.turn += 1
            self._say_status()

    @on(events.Resize)
    def _resized(self, event: events.Resize) -> None:
        self.query_one(Listing).tall = event.size.width >= WIDE
        self.call_after_refresh(self._say_status)
        self._say_hints()

    # Asking

    @on(Input.Changed, "#question")
    def _typed(self, event: Input.Changed) -> None:
        self.asked.typed_at = time.perf_counter()
        self._ask_soon()

    @on(Input.Submitted, "#question")
    def _entered(self) -> None:
        self.action_open()

    def _ask_soon(self) -> None:
        if self._waiting:
            self._waiting.stop()
        self._app.reader.rest()
        if self.asked.shown == self.asked.number:
            self.ask()  # nothing is under way, so nothing is gained by waiting
        else:
            self._waiting = self.set_timer(min(max(_SHORTEST, self._last_ms / 1000), _LONGEST), self.ask)

    def ask(self) -> None:
        """Ask what is typed."""
        self.asked.number += 1
        text = self.query_one(Input).value.strip()
        if text:
            self._app.session.ask(Question(self.asked.number, text, self.asked.only))
            if not self.status.ready:
                self._say_nothing()
            return
        self.asked.shown, self.asked.answer = self.asked.number, None
        self.status.answer, self.status.sure = "", None
        self._say_status()
        self._show(_View())

    def hear(self, told: Told) -> None:
        """Take in what the session says."""
        self.status.hear(told)
        match told:
            case Answered():
                self._answered(told)
            case Related():
                self._found_related(told)
            case Indexed():
                self.languages = told.languages
                self._refreshed = time.monotonic()
                if self.query_one(Input).value.strip() and not self.view.subject:
                    self.ask()
            case Adapted(said=said):
                self.notify(visible(said), markup=False, timeout=12)
            case Refused(said):
                self.notify(visible(said), severity="warning", markup=False)
        self._say_status()

    def _answered(self, answer: Answered) -> None:
        if answer.question.number <= self.asked.shown:
            return
        same = self.asked.answer is not None and self.asked.answer.question.text == answer.question.text
        if not same:
            self.asked.nearest = False
        self.asked.shown, self.asked.answer = answer.question.number, answer
        self._last_ms = answer.ms
        self.set_timer(_RESTED, lambda: self._rested(answer))
        hit = self.query_one(Listing).hit
        self._show_answer(hit.key if same and hit else "")
        if answer.state is not Stale.FRESH and time.monotonic() - self._refreshed > _SETTLE and not self.status.busy:
            self._app.session.refresh()

    def _rested(self, answer: Answered) -> None:
        if self.asked.answer is answer and answer.enough:
            self._app.history.add(answer.question.text)

    def _show_answer(self, selected: str = "") -> None:
        answer = self.asked.answer
        if answer is None:
            return
        shown = answer.hits if answer.enough or self.asked.nearest else ()
        self.views.clear()
        self._show(_View(shown, answer.question.text.lstrip(NAME)), selected)

    def _show(self, view: _View, selected: str = "") -> None:
        self.view = view
        self.query_one(Listing).show(view.rows, selected)
        crumb = self.query_one("#crumb", Static)
        crumb.set_class(view.subject is not None, "on")
        if view.subject:
            crumb.update(Text(f"‹ related to {visible(view.subject.symbol or view.subject.path)}", overflow="ellipsis"))
        self._say_nothing()
        self._say_hints()

    def _say_nothing(self) -> None:
        answer, said = self.asked.answer, self.query_one("#said", Static)
        text = ""
        if not self.status.ready and self.query_one(Input).value.strip():
            text = "the index is being built\n\nthe answer comes as soon as it is there"
        elif answer and not answer.enough and not self.asked.nearest and not self.view.subject:
            text = "nothing here seems to answer that"
            if answer.indexed < 1:
                text = f"nothing so far seems to answer that\n\n{answer.indexed:.0%} is indexed"
            if answer.hits:
                text += f"\n\nconfidence {answer.confidence:.2f}\nF8 shows what is nearest"
        if text or said.has_class("on"):
            said.update(Text(text))
            said.set_class(bool(text), "on")

    # What is selected

    @on(Listing.Selected)
    def _selected(self) -> None:
        hit = self.query_one(Listing).hit
        title = self.query_one("#title", Static)
        if hit is None:
            title.update("", layout=False)
            self.query_one(Preview).show(None)
        else:
            colors = palette(self.app)
            first, last = hit.span.start_line, hit.span.end_line
            place = f"{visible(hit.place)}:{first}-{last}" if last > first else f"{visible(hit.place)}:{first}"
            said = Text.assemble((place, colors.style("bold @text")), ("  ", ""), no_wrap=True, overflow="ellipsis")
            said.append(visible(hit.symbol), colors.style("@dim"))
            if hit.copies:
                said.append(f"  and nearly the same in {', '.join(map(visible, hit.copies))}", colors.style("@dim"))
            title.update(said, layout=False)
            self._app.reader.show(hit, self.view.query)
        self._say_why()

    @on(Listing.Chosen)
    def _chosen(self) -> None:
        self.action_open()

    def show_page(self, page: Page) -> None:
        """Show PAGE, if it is still the one wanted."""
        hit = self.query_one(Listing).hit
        if hit is not None and hit.key == page.hit.key:
            self.query_one(Preview).show(page)

    def _say_why(self) -> None:
        pane, hit = self.query_one("#explain", Static), self.query_one(Listing).hit
        if not self.query_one("#why").has_class("on"):
            return
        colors = palette(self.app)
        lines = Text()
        if hit:
            lines.append(f"{hit.score:6.2f}  is the sum of", colors.style("bold @text"))
        for worth, name, why in explain(hit) if hit else ():
            lines.append(f"\n{worth:+6.2f}  ", colors.style("@accent" if worth > 0 else "@warning"))
            lines.append(f"{name:18} ", colors.style("@text")).append(why, colors.style("@dim"))
        pane.update(lines)

    # Keys

    def on_key(self, event: events.Key) -> None:
        """Do what letters do in the list; what is typed there otherwise goes to the question."""
        listing = self.query_one(Listing)
        if self.focused is not listing:
            return
        action = self.LETTERS.get(event.character or "") or self.LETTERS.get(event.key)
        if action:
            event.stop()
            self.call_next(self.run_action, action if "." in action else f"screen.{action}")

    def action_move(self, step: int) -> None:
        """Select another hit; where there are none, an earlier question."""
        listing = self.query_one(Listing)
        if not listing.rows and step < 0 and not self.query_one(Input).value:
            self.action_earlier()
        listing.move(step)

    def action_page(self, pages: int) -> None:
        """Go through the list by screens."""
        self.query_one(Listing).page(pages)

    def action_scroll_file(self, lines: int) -> None:
        """Scroll the file."""
        self.query_one(Preview).scroll_lines(lines)

    def action_mark(self) -> None:
        """Mark the selected hit, or take its mark away."""
        self.query_one(Listing).mark()
        self._say_hints()

    def action_back(self) -> None:
        """Leave related code; else change between question and list."""
        if self.views:
            view = self.views.pop()
            self._show(view, view.selected)
        elif self.focused is self.query_one(Input):
            self.query_one(Listing).focus()
        else:
            self.query_one(Input).focus()
        self.call_after_refresh(self._say_hints)

    def action_earlier(self) -> None:
        """Choose an earlier question."""

        def chosen(question: str | None) -> None:
            if question:
                line = self.query_one(Input)
                line.value = question
                line.cursor_position = len(question)
                line.focus()

        self.app.push_screen(Earlier(self._app.history.questions), chosen)

    def action_help(self) -> None:
        """Show all keys."""
        self.app.push_screen(Help())

    def action_language(self) -> None:
        """Choose languages."""
        options = [(name, f"{chunks:,} chunks") for name, chunks in self.languages]
        chosen = {*self.asked.only.languages}
        self.app.push_screen(Choice("language", options, chosen, lambda some: self._filter(languages=frozenset(some))))

    def action_kind(self) -> None:
        """Choose kinds of code."""
        chosen = {*map(str, self.asked.only.kinds)}
        self.app.push_screen(
            Choice(
                "kind of code",
                [(str(kind), "") for kind in KINDS],
                chosen,
                lambda some: self._filter(kinds=frozenset(map(Kind, some))),
            )
        )

    def action_paths(self) -> None:
        """Type patterns for paths."""

        def typed(text: str | None) -> None:
            if text is not None:
                self._filter(globs=tuple(text.split()))

        globs = " ".join(self.asked.only.globs)
        self.app.push_screen(
            Typed("paths, as in .gitignore; with ! in front, all others", globs, "src/**/*.py !old/"), typed
        )

    def action_tests(self) -> None:
        """Let tests answer, or not."""
        self._filter(tests=not self.asked.only.tests)

    def _filter(self, **changed: object) -> None:
        self.asked.only = only = replace(self.asked.only, **changed)  # type: ignore[arg-type]
        said = {
            "language": ", ".join(sorted(only.languages)) or "any",
            "path": " ".join(only.globs) or "any",
            "kind": ", ".join(sorted(only.kinds)) or "any",
            "tests": "on" if only.tests else "off",
        }
        for name, value in said.items():
            self.query_one(f"#chip-{name}", Chip).show(value)
        self.ask()

    def action_related(self) -> None:
        """Go to what belongs to the selected hit."""
        if hit := self.query_one(Listing).hit:
            self._wanted_related += 1
            self._app.session.related(self._wanted_related, hit)

    def _found_related(self, found: Related) -> None:
        if found.number != self._wanted_related:
            return
        if not found.groups:
            self.notify("nothing here belongs to it", markup=False)
            return
        self._remember()
        hit = self.query_one(Listing).hit
        self.view.selected = hit.key if hit else ""
        self.views.append(self.view)
        rows: list[Row] = []
        for relation, hits in found.groups:
            rows += [Heading(_TITLES.get(relation, relation)), *hits]
        name = found.subject.symbol.rpartition(".")[2]
        self._show(_View(tuple(rows), f"{NAME}{name}" if name else "", found.subject))

    def action_explain(self) -> None:
        """Show the sum that the score is, or hide it."""
        self.query_one("#why").toggle_class("on")
        self._say_why()

    def action_nearest(self) -> None:
        """Show what is nearest where nothing seems to answer."""
        if self.asked.answer and not self.asked.answer.enough:
            self.asked.nearest = not self.asked.nearest
            self._show_answer()

    def action_refresh(self) -> None:
        """Bring the index up to date."""
        self._app.session.refresh()

    def action_adapt(self) -> None:
        """Adapt the retriever, or stop that."""
        if self._app.session.adapting:
            self._app.session.stop_adapting()
            self.status.adapting, self.status.curve = "adapting: stopping", []
        else:
            self._app.session.adapt()
            if self._app.session.adapting:
                self.status.adapting = "adapting: starting"
        self._say_status()

    # What is done with hits

    def wanted(self) -> Sequence[Hit]:
        """Return the marked hits, or the selected one."""
        listing = self.query_one(Listing)
        return [*listing.marked.values()] or ([listing.hit] if listing.hit else [])

    def _remember(self) -> None:
        if self.asked.answer:
            self._app.history.add(self.asked.answer.question.text)

    def action_copy_place(self) -> None:
        """Copy path:line, behind the repository's name in a store."""
        self._copy([f"{visible(hit.place)}:{hit.span.start_line}" for hit in self.wanted()], "place")

    def action_copy_code(self) -> None:
        """Copy the code; what would steer a terminal that it is pasted into is made visible."""
        self._copy(["\n".join(map(visible_line, hit.text.split("\n"))) for hit in self.wanted()], "piece of code")

    def _copy(self, texts: list[str], what: str) -> None:
        if texts:
            self._remember()
            self.app.copy_to_clipboard("\n".join(texts))
            plural = what.replace("piece", "pieces") if "piece" in what else f"{what}s"
            self.notify(f"copied {len(texts)} {what if len(texts) == 1 else plural}", markup=False, timeout=2)

    def action_open(self) -> None:
        """Open in the editor."""
        root, hits = self.searched.root, self.wanted()
        if not hits:
            return
        if root is None:
            said = "the files of a store are not here to be opened; ctrl+y copies where it is, ctrl+s the code"
            self.notify(said, severity="warning", markup=False)
            return
        self._remember()
        self._app.open_places([(root / hit.path, hit.span.start_line) for hit in hits])

    # What is said

    def _say_status(self) -> None:
        width = self.size.width
        self.query_one("#status", Static).update(self.status.line(width, palette(self.app)), layout=False)

    def _say_hints(self) -> None:
        listing = self.query_one(Listing)
        marked = f"{len(listing.marked)} marked   " if listing.marked else ""
        where = "esc back" if self.views else "esc list" if self.focused is not listing else "esc question"
        said = marked
        for hint in ("F1 help", "enter open", "tab mark", where, "F6 related", "F7 explain", "ctrl+r earlier"):
            if len(said) + len(hint) <= self.size.width - 2:
                said += f"{hint}   "
        self.query_one("#hints", Static).update(Text(said.rstrip()), layout=False)

    def repaint(self) -> None:
        """Paint everything anew, in other colours."""
        self._say_status()
        self._selected()
        for widget in self.query(Chip):
            widget.refresh()
        self.query_one(Listing).refresh()
        self.query_one(Preview).refresh()
