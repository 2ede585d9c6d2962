"""The interface on a store of many repositories: what it shows, and what it can not do there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.widgets import Input

from codesearch.fleet.access import Access
from codesearch.fleet.sources import Source
from codesearch.tui.preview import Preview
from codesearch.tui.searched import Searched, store
from tests.fleet.conftest import commit, filled
from tests.tui.conftest import FILES, HOSTILE, MORE, QUESTION, Driven, run


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of a public and a private repository, which have a file in common."""
    folder = tmp_path_factory.mktemp("fleet")
    commit(folder / "acme/shop", FILES | MORE)
    commit(folder / "acme/secret", {"shop/retry.py": FILES["shop/retry.py"], "plan.md": "# Plan\n\nBuy a zeppelin.\n"})
    sources = [
        Source(str(folder / "acme/shop"), "acme/shop", visibility="public"),
        Source(str(folder / "acme/secret"), "acme/secret"),
    ]
    filled(str(folder / "store"), sources)
    return str(folder / "store")


@pytest.fixture
def public(uri: str) -> Searched:
    return store(uri, Access(frozenset({"public"})))


def test_the_repository_stands_beside_the_path_and_the_whole_file_in_the_preview(public: Searched) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        assert at.hit.place == "acme/shop/shop/retry.py"
        assert "acme/shop/shop/retry.py:10-" in at.text and "▎ def retry_with_backoff(call, attempts=5):" in at.text
        assert '   1   """What to do about a payment' in at.text, "the file, from its beginning"
        page = at.page.query_one(Preview).page
        assert page is not None and page.lines == tuple(FILES["shop/retry.py"].splitlines())
        assert "chunks of 7 files" in at.text

    run(public, drive)

    async def drive_narrow(at: Driven) -> None:
        await at.ready()
        await at.ask("nothing is retried that went through")
        await at.until(lambda: re.search(r"acme/shop….*test_retry\.py:1", at.text))

    run(public, drive_narrow, size=(100, 24))


def test_nothing_is_shown_of_what_may_not_be_seen(public: Searched, uri: str) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("buy a zeppelin")
        if not at.listing.rows:
            await at.press("f8")
        assert at.listing.rows and {hit.repository for hit in at.listing.hits} == {"acme/shop"}
        await at.press("f2")
        assert "markdown" in at.text and "1 chunks" not in at.text.partition("python")[0]

    async def see_all(at: Driven) -> None:
        await at.ready()
        await at.ask("buy a zeppelin")
        assert "acme/secret" in {hit.repository for hit in at.listing.hits}

    run(public, drive)
    run(store(uri, Access()), see_all)


def test_filters_are_those_of_a_folder_and_a_bad_one_is_refused(public: Searched) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("retry a payment")
        await at.press("f3", *"shop/", "enter")
        await at.until(lambda: at.listing.hits and {hit.path.partition("/")[0] for hit in at.listing.hits} == {"shop"})
        await at.press("f3", "ctrl+u", "backslash", "enter")
        await at.until(lambda: "Invalid git pattern" in at.text)
        await at.press("f3", "backspace", "enter")
        at.page.query_one(Input).value = "sum the prices"
        await at.until(lambda: at.listing.hits and at.hit.path == "shop/cart.py")

    run(public, drive)


def test_related_code_is_that_of_its_repository(uri: str) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("test that a call that works is made once")
        await at.press("f6")
        await at.until(lambda: "‹ related to" in at.text)
        assert at.listing.hits and {hit.repository for hit in at.listing.hits} == {"acme/shop"}
        await at.press("escape")
        assert "‹ related to" not in at.text

    run(store(uri, Access()), drive)


def test_what_needs_files_is_refused_in_words(public: Searched) -> None:
    opened: list[object] = []

    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        for key, said in (
            ("enter", "not here to be opened"),
            ("ctrl+t", "the retriever that"),
        ):
            await at.press(key)
            await at.until(lambda said=said: said in at.text)
        await at.press("ctrl+y")
        assert at.app.clipboard == "acme/shop/shop/retry.py:10" and not opened
        assert "adapting" not in at.text

    run(public, drive, launch=lambda *said: opened.append(said) or 0)


def test_nothing_in_a_store_steers_the_terminal_or_is_markup(public: Searched) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("zeppelin")
        await at.until(lambda: "evil" in at.text)
        assert at.hit.text and HOSTILE in at.hit.text
        assert not {"\x1b", "\x07", "\u202e"} & {*at.text}
        assert "acme/shop/evil\\x1b[31m.py" in at.text and "[bold red]" in at.text

    run(public, drive)


def test_a_chunk_that_two_repositories_have_is_two_hits(uri: str) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask(QUESTION)
        both = [hit for hit in at.listing.hits if hit.path == "shop/retry.py"]
        assert both and len({hit.key for hit in at.listing.hits}) == len(at.listing.hits)
        places = {hit.place for hit in both} | {copy.rpartition(":")[0] for hit in both for copy in hit.copies}
        assert places == {"acme/shop/shop/retry.py", "acme/secret/shop/retry.py"}

    run(store(uri, Access()), drive)


def test_a_store_that_is_not_there_ends_with_the_error_that_says_so(tmp_path: Path) -> None:
    from codesearch.errors import IndexFormatError
    from codesearch.tui import searched
    from codesearch.tui.words import Broken, Told

    said: list[Told] = []
    session = searched.store(str(tmp_path / "none"), Access()).session(said.append)
    session.start()
    assert session._worker.join(60) is None  # type: ignore[attr-defined]
    assert session.close()
    [broken] = said
    assert isinstance(broken, Broken) and isinstance(broken.error, IndexFormatError)
    assert not (tmp_path / "none").exists()
