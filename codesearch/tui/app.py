"""The application: one page, the session that answers it, the reader that shows files, and the editor beside.

Nothing heavy is imported before the first frame is on the screen; then the session starts.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar

from textual import events
from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.message import Message

from codesearch.cli.visible import visible
from codesearch.tui import editor, look
from codesearch.tui.history import History
from codesearch.tui.listing import Listing
from codesearch.tui.screen import WIDE, SearchScreen
from codesearch.tui.searched import Searched
from codesearch.tui.source import Page, Reader
from codesearch.tui.words import Broken, Told

Launch = Callable[[Sequence[str], Sequence[editor.Place]], int]


class Heard(Message):
    """The session, or the reader, says something; it comes from its thread."""

    def __init__(self, said: Told | Page) -> None:
        """Carry SAID."""
        super().__init__()
        self.said = said


class CodesearchApp(App[None]):
    """Search a folder, or a store."""

    TITLE = "codesearch"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", "quit", show=False, priority=True)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - mypy takes it for the instance's

    CSS = """
    Toast { background: $panel; color: $foreground; padding: 0 2; border-left: outer $accent; max-width: 70%; }
    Input > .input--cursor { text-style: reverse; }
    Input > .input--placeholder { color: $dim; }
    Tooltip { background: $panel; color: $foreground; }
    """

    def __init__(self, searched: Searched, launch: Launch = editor.run, editor: str = "") -> None:
        """Search what is SEARCHED; LAUNCH opens places in EDITOR, by default the environment's."""
        self.preferred = look.preferred(os.environ)  # Textual takes NO_COLOR out of the environment
        super().__init__(ansi_color=self.preferred.plain or None)
        self._launch = launch
        self._editor = editor
        self.history = History(searched.called)
        self.session = searched.session(self._tell)
        self.reader = Reader(self.session.lines, self._tell)
        self.page = SearchScreen(searched)
        self.broken: Exception | None = None
        for one in look.ALL.values():
            self.register_theme(one.theme)
        self.theme = self.preferred.name

    def get_default_screen(self) -> SearchScreen:
        """Return the page."""
        return self.page

    def _tell(self, said: Told | Page) -> None:
        with suppress(RuntimeError):  # the loop may have ended
            self.post_message(Heard(said))

    def on_mount(self) -> None:
        """Start what answers, when the page is painted."""
        self.call_after_refresh(self.page.call_after_refresh, self.session.start)
        import asyncio

        for name in ("SIGTERM", "SIGHUP"):
            # The program's own handler would leave the terminal as it is.
            with suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
                number = getattr(signal, name)
                asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)

    def on_heard(self, event: Heard) -> None:
        """Pass on what was said, as long as the page is there to hear it."""
        if not self.page.query(Listing):
            return
        match event.said:
            case Page():
                self.page.show_page(event.said)
            case Broken(error):
                self.broken = error
                self.exit(return_code=2)
            case _:
                self.page.hear(event.said)

    def on_app_focus(self, event: events.AppFocus) -> None:
        """Look for changed files, when one comes back from where they were changed."""
        if self.page.status.ready and not self.page.status.busy:
            self.session.refresh()

    def action_turn_light(self) -> None:
        """Change between light and dark; without colours there is neither."""
        if self.preferred.plain:
            return
        self.theme = look.DARK.name if look.palette(self) is look.LIGHT else look.LIGHT.name
        self.page.repaint()

    def open_places(self, places: Sequence[editor.Place]) -> None:
        """Open PLACES in the editor; while it has the terminal, everything here rests."""
        chosen = editor.chosen(self._editor)
        if not chosen:
            self.notify("no editor: set VISUAL or EDITOR to the one you like", severity="warning", markup=False)
            return
        try:
            if editor.takes_the_terminal(chosen):
                with suppress(SuspendNotSupported), self.suspend():
                    self._launch(chosen, places)
                self.session.refresh()
            else:
                self._launch(chosen, places)
        except OSError as error:
            said = f"{chosen[0]} does not start: {error.strerror}. Set VISUAL or EDITOR to another."
            self.notify(visible(said), severity="warning", markup=False)
