"""The real application on a real index of a few files, driven by keys, and read as the terminal would show it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from codesearch.settings import Settings
from codesearch.tui.app import CodesearchApp
from codesearch.tui.listing import Listing
from codesearch.tui.screen import SearchScreen
from codesearch.tui.searched import Searched, folder
from codesearch.types import Hit
from codesearch.workspace import Workspace
from tests.cli.conftest import FILES, write

HOSTILE = "\x1b]0;owned\x07\x1b[31m [bold red]zeppelin[/] \u202egnp"
MORE = {
    "tests/test_retry.py": '''from shop.retry import retry_with_backoff


def test_a_call_that_works_is_made_once():
    """Nothing is retried that went through."""
    assert retry_with_backoff(lambda: 1) == 1
''',
    "shop/pay.py": '''"""Paying."""

from shop.retry import retry_with_backoff


def charge(card, amount):
    """Charge a card, and try again where the bank is busy."""
    return retry_with_backoff(lambda: card.charge(amount))
''',
    "evil\x1b[31m.py": f'def zeppelin():\n    """{HOSTILE}"""\n    return "{HOSTILE}"\n',
}
QUESTION = "call again after a failure, waiting longer each time"
Drive = Callable[["Driven"], Awaitable[None]]


class Driven:
    """An application that runs, and the keys to drive it with."""

    def __init__(self, app: CodesearchApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def page(self) -> SearchScreen:
        return self.app.page

    @property
    def listing(self) -> Listing:
        return self.page.query_one(Listing)

    @property
    def hit(self) -> Hit:
        assert self.listing.hit is not None
        return self.listing.hit

    @property
    def places(self) -> list[str]:
        return [f"{hit.path}:{hit.span.start_line}" for hit in self.listing.hits]

    async def until(self, done: Callable[[], Any], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.text
            await self.pilot.pause(0.02)
        await self.pilot.pause()

    async def ready(self) -> None:
        await self.until(lambda: self.page.status.ready and not self.page.status.busy)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type TEXT, and wait for its answer."""
        self.page.query_one(Input).focus()
        await self.press(*("space" if c == " " else "comma" if c == "," else c for c in text))
        await self.until(lambda: self.page.asked.answer and self.page.asked.answer.question.text == text.strip())

    async def ask(self, question: str = QUESTION) -> None:
        """Ask QUESTION as if it were pasted, and wait for its answer and the file of the first hit."""
        self.page.query_one(Input).value = question
        await self.until(lambda: self.page.asked.answer and self.page.asked.answer.question.text == question)
        await self.shown()

    async def shown(self) -> None:
        """Wait until the file is that of the selected hit."""
        from codesearch.tui.preview import Preview

        preview = self.page.query_one(Preview)
        await self.until(
            lambda: not self.listing.hit or (preview.page is not None and preview.page.hit.key == self.hit.key)
        )

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return ["".join(segment.text for segment in strip) for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed repository, for tests that change nothing."""
    root = write(tmp_path_factory.mktemp("tui") / "shop", FILES | MORE)
    with Workspace.open(root) as workspace:
        for _ in workspace.index():
            pass
    return root


@pytest.fixture(autouse=True)
def state(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The per-user state folder, empty."""
    folder = home / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    for name in ("VISUAL", "EDITOR", "COLORFGBG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield folder


def run(searched: Path | Searched, drive: Drive, size: tuple[int, int] = (120, 40), **options: Any) -> None:
    """Drive an application on what is SEARCHED, a folder or a store, which must end well."""

    async def main() -> None:
        app = CodesearchApp(searched if isinstance(searched, Searched) else folder(searched, Settings()), **options)
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                await drive(Driven(app, pilot))
        finally:
            app.reader.close()
            app.session.close()
        with suppress(AttributeError):
            assert app.broken is None, app.broken

    asyncio.run(main())
