"""What somebody does at the page, and what it shows then."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from codesearch import events, registry
from codesearch.tui import editor
from codesearch.tui.look import LIGHT
from codesearch.tui.preview import Preview
from codesearch.tui.screen import Chip
from codesearch.tui.status import Status
from codesearch.tui.words import Adapted, Adapting, Answered, Question, Told
from codesearch.types import Stale
from tests.tui.conftest import QUESTION, Driven, run, write

GOLDENS = Path(__file__).parent / "goldens"


def test_typing_finds_and_shows_the_code_with_what_matches_marked(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.type("retry with backoff")
        await at.shown()
        assert at.places[0] == "shop/retry.py:10"
        assert "retry_with_backoff" in at.text and "def retry_with_backoff(call, attempts=5):" in at.text
        page = at.page.query_one(Preview).page
        assert page is not None and page.marks[10] == ((4, 22),)
        assert re.search(r"fresh .* chunks of 7 files .* \d+ in \d+ ms   confidence \d\.\d\d", at.text)

    run(indexed, drive)


def test_the_answer_to_an_earlier_question_never_replaces_that_to_a_later_one(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        shown, number = at.places, at.page.asked.shown
        at.page.hear(Answered(Question(number - 1, "older"), (), 1.0, 0.0, False, Stale.FRESH))
        assert at.places == shown and "nothing here" not in at.text
        at.page.query_one(Input).value = ""
        await at.until(lambda: not at.listing.rows)
        at.page.hear(Answered(Question(number, QUESTION), at.listing.hits, 1.0, 1.0, True, Stale.FRESH))
        assert not at.listing.rows and at.page.asked.answer is None

    run(indexed, drive)


def test_filters_narrow_by_language_path_kind_and_tests(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("retry the query of a payment")
        everything = at.places
        await at.press("f2")
        options = at.app.screen.query_one(OptionList)
        assert "python" in str(options.get_option_at_index(0).prompt)
        await at.press("enter", "escape")
        await at.until(lambda: at.places != everything)
        assert at.places and all(place.partition(":")[0].endswith(".py") for place in at.places)
        assert at.page.query_one("#chip-language", Chip).value == "python"
        await at.press("f2", "space", "escape", "f3", *"shop/", "enter")
        await at.until(lambda: {place.partition("/")[0] for place in at.places} == {"shop"})
        await at.press("f3", "ctrl+u", "enter", "f5")
        await at.until(lambda: "shop/pay.py:1" in " ".join(at.places))
        assert not any(place.startswith("tests/") for place in at.places)
        await at.ask("sum the prices of the cart")
        await at.press("f5", "f4", "down", "enter", "escape")  # methods
        await at.until(lambda: at.places and {hit.kind for hit in at.listing.hits} == {"method"})

    run(indexed, drive)


def test_a_pattern_that_is_none_is_refused_and_everything_goes_on(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        await at.press("f3", "backslash", "enter")
        await at.until(lambda: "Invalid git pattern" in at.text)
        await at.press("f3", "backspace", "enter")
        await at.ask("sum the prices")
        assert at.places[0] == "shop/cart.py:11"

    run(indexed, drive)


def test_what_nothing_answers_is_said_and_what_is_nearest_shown_when_asked(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("how long does a soft boiled egg take in the mountains")
        assert "nothing here seems to answer that" in at.text and not at.listing.rows
        await at.press("f8")
        assert at.listing.rows and "nothing here" not in at.text
        await at.press("f8")
        assert not at.listing.rows

    run(indexed, drive)


def test_a_score_is_explained_as_the_sum_that_it_is(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        await at.press("escape", "e")
        assert re.search(rf"{at.hit.score:.2f}  is the sum of", at.text)
        said = [float(part) for part in re.findall(r"([+-]\d+\.\d\d)  [a-z]", at.text)]
        assert sum(said) == pytest.approx(at.hit.score, abs=0.1)
        await at.press("f7")
        assert "is the sum of" not in at.text

    run(indexed, drive, size=(120, 60))


def test_related_code_is_a_list_to_go_into_and_come_back_from(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        await at.press("down", "up")
        first, places = at.hit, at.places
        await at.press("f6")
        await at.until(lambda: "‹ related to retry_with_backoff" in at.text)
        assert at.places[0] == "tests/test_retry.py:1" and "callers" in at.text and "shop/pay.py:1" in at.text
        await at.press("down", "f6")
        await at.until(lambda: len(at.page.views) == 2)
        await at.press("escape", "escape")
        assert at.places == places and at.hit == first and "‹ related" not in at.text

    run(indexed, drive)


def test_questions_are_remembered_for_this_folder_and_for_nobody_else(indexed: Path, state: Path) -> None:
    async def ask(at: Driven) -> None:
        await at.ready()
        await at.ask("sum the prices")
        await at.press("ctrl+y")

    async def recall(at: Driven) -> None:
        await at.ready()
        await at.press("up")
        assert "sum the prices" in at.text
        await at.press(*"pri", "enter")
        await at.until(lambda: at.places[:1] == ["shop/cart.py:11"])

    async def elsewhere(at: Driven) -> None:
        assert at.app.history.questions == []

    run(indexed, ask)
    run(indexed, recall)
    run(indexed / "shop", elsewhere)
    file = state / "codesearch" / "history.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_is_marked_is_opened_together_and_copied(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[list[str], list[editor.Place]]] = []

    def launch(chosen: Sequence[str], places: Sequence[editor.Place]) -> int:
        opened.append(([*chosen], [*places]))
        return 0

    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        first, second = at.listing.hits[:2]
        await at.press("enter")
        assert opened == [(["code", "--wait"], [(indexed / first.path, first.span.start_line)])]
        await at.press("tab", "tab")
        assert "2 marked" in at.text
        await at.press("enter")
        assert [place for place, _ in opened[1][1]] == [indexed / first.path, indexed / second.path]
        await at.press("ctrl+y")
        assert at.app.clipboard == f"{at.places[0]}\n{at.places[1]}"
        await at.press("escape", "k", "k", "space", "s")
        assert at.app.clipboard == second.text

    monkeypatch.setenv("VISUAL", "code --wait")
    run(indexed, drive, launch=launch)


def test_nothing_in_a_repository_steers_the_terminal_or_is_markup(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("zeppelin")
        await at.press("f7")
        steering = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
        shown = "\n".join(at.lines)
        assert r"evil\x1b[31m.py" in shown and "[bold red]" in shown and not steering.search(shown)
        await at.press("ctrl+s", "f6")
        await at.until(lambda: at.page.views)
        assert not steering.search("\n".join(at.lines))
        assert "\x1b" not in at.app.clipboard and r"\x1b]0;owned" in at.app.clipboard

    run(indexed, drive)


def test_the_index_is_built_at_the_start_while_one_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "shop")
    seen: list[str] = []
    hear = Status.hear

    def note(status: Status, told: Told) -> None:
        hear(status, told)
        seen.append(status.index)

    async def drive(at: Driven) -> None:
        at.page.query_one(Input).value = QUESTION
        await at.until(lambda: at.places)
        assert "being built" not in at.text
        assert at.places[0] == "shop/retry.py:10"
        await at.ready()
        assert "fresh" in at.text

    monkeypatch.setattr(Status, "hear", note)
    run(root, drive)
    assert "no index yet: building it" in seen
    assert [folder for folder, _ in registry.known()] == [root], "`codesearch list` knows of it"


def test_changed_files_are_noticed_when_one_comes_back(tmp_path: Path) -> None:
    from textual.events import AppFocus

    root = write(tmp_path / "shop")

    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("open the umbrella")
        (root / "umbrella.py").write_text('def unfold():\n    """Open the umbrella."""\n')
        at.app.post_message(AppFocus())
        await at.until(lambda: "umbrella.py:1" in at.places)

    run(root, drive)


def test_adapting_is_told_with_its_curve_and_what_came_of_it(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        at.page.hear(Adapting(events.Adapting("training")))
        await at.until(lambda: "adapting: training" in at.text)
        for step, mrr in enumerate((0.42, 0.44, 0.47), 1):
            at.page.hear(Adapting(events.Trained(step, 10, step / 10, 2.0, 0.03, 0.40, mrr, 1.0)))
        await at.until(lambda: "adapting 30%  ▁▃▅█ MRR 0.400 → 0.470  gain 0.03" in at.text)
        at.page.hear(Adapted(True, "adapted: it finds more"))
        await at.until(lambda: "MRR" not in at.text and "adapted: it finds more" in at.text)

    run(indexed, drive)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_the_page_looks_as_it_did(indexed: Path, width: int, height: int) -> None:
    """UPDATE_GOLDENS=1 writes the pages anew, to be read before they are committed."""

    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask("retry_with_backoff")
        await at.press("tab")
        await at.shown()
        shown = re.sub(r" {2,}\d+ in \d+ ms", "  N in N ms", at.text) + "\n"
        file = GOLDENS / f"{width}x{height}.txt"
        if os.environ.get("UPDATE_GOLDENS"):
            file.write_text(shown, encoding="utf-8")
        assert file.read_text(encoding="utf-8") == shown
        await at.press("f1")
        assert "earlier questions" in at.text
        await at.press("escape")
        assert max(map(len, at.lines)) <= width

    run(indexed, drive, size=(width, height))


def test_without_colours_nothing_is_coloured_and_all_is_there(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        styles = [
            segment.style
            for y in range(40)
            for segment in at.app.screen._compositor.render_strips()[y]
            if segment.style is not None
        ]
        for filter_ in at.app._filters:
            if filter_.enabled:
                assert type(filter_).__name__ == "NoColor"
        assert all(style.color is None or style.color.is_default for style in styles), "the palette has none either"
        assert any(style.reverse for style in styles), "the selected row shows"

    run(indexed, drive)


def test_the_page_turns_light_and_works_with_the_mouse(indexed: Path) -> None:
    async def drive(at: Driven) -> None:
        await at.ready()
        await at.ask()
        await at.press("ctrl+l")
        assert at.app.theme == LIGHT.name
        await at.pilot.click("#list", offset=(10, 2))
        await at.pilot.pause()
        assert at.hit == at.listing.hits[1]
        await at.pilot.click("#chip-tests")
        await at.until(lambda: at.page.query_one("#chip-tests", Chip).value == "off")

    run(indexed, drive)
