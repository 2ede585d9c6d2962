"""Editors, history, the session and the curve, each by itself."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from codesearch import index, prepare
from codesearch.events import Progress
from codesearch.settings import Settings
from codesearch.tui import history
from codesearch.tui.editor import chosen, command, listing, run
from codesearch.tui.history import History
from codesearch.tui.session import Session, explain
from codesearch.tui.status import Status, sparkline
from codesearch.tui.words import Answered, Broken, Indexed, Only, Question, Told, Working
from codesearch.types import Kind, Stale
from tests.cli.conftest import write

PLACES = [(Path("/p/a b.py"), 10), (Path("/p/-c.rs"), 20)]


@pytest.mark.parametrize(
    ("editor", "expected", "terminal"),
    [
        ("code", "code -g {a}:10 {c}:20", False),
        ("code --goto -w", "code --goto -w {a}:10 {c}:20", False),
        ("cursor", "cursor -g {a}:10 {c}:20", False),
        ("nano", "nano +10 {a} +20 {c}", True),
        ("emacs -nw", "emacs -nw +10 {a} +20 {c}", True),
        ("emacsclient -n", "emacsclient -n +10 {a} +20 {c}", False),
        ("hx", "hx {a}:10 {c}:20", True),
        ("zed", "zed {a}:10 {c}:20", False),
        ("subl", "subl {a}:10 {c}:20", False),
        ("idea", "idea --line 10 {a} --line 20 {c}", False),
        ("/usr/bin/nvim", "/usr/bin/nvim +10 {a} {c}", True),
        ("something", "something +10 {a} +20 {c}", True),
    ],
)
def test_each_editor_is_told_the_lines_in_its_own_way(editor: str, expected: str, terminal: bool) -> None:
    wanted = command(editor.split(), PLACES)
    words = [word.format(a="/p/a b.py", c="/p/-c.rs") for word in expected.split()]
    assert (wanted.arguments, wanted.terminal) == (tuple(words), terminal)


def test_vi_gets_one_place_as_a_line_and_several_as_a_list() -> None:
    assert command(["vim"], PLACES[:1], Path("/tmp/l")).arguments == ("vim", "+10", "/p/a b.py")
    assert command(["vim"], PLACES, Path("/tmp/l")).arguments == ("vim", "-q", "/tmp/l")
    assert listing([*PLACES, (Path("/p/x:1:|!rm.py"), 1)]) == "/p/a b.py:10: \n/p/-c.rs:20: \n"


def test_visual_comes_before_editor_and_what_is_no_command_is_passed_over() -> None:
    assert chosen("", {"VISUAL": "code -w", "EDITOR": "vi"}) == ["code", "-w"]
    assert chosen("", {"VISUAL": "", "EDITOR": "vi"}) == ["vi"]
    assert chosen("", {"VISUAL": "it's", "EDITOR": "hx"}) == ["hx"]
    assert chosen("nano -w", {"VISUAL": "hx"}) == ["nano", "-w"]


def test_an_editor_is_really_run_with_its_list(tmp_path: Path) -> None:
    script = tmp_path / "vim"
    script.write_text(f'#!/bin/sh\ncp "$2" {tmp_path}/list\nexit 3\n')
    script.chmod(0o755)
    assert run([str(script)], PLACES) == 3
    assert (tmp_path / "list").read_text() == listing(PLACES)


def test_the_history_keeps_each_question_once_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    file = tmp_path / "h" / "history.jsonl"
    mine = History(str(tmp_path), file)
    for question in ("a", "b", "a", " ", "c" * 5000, "d", "e", "f", "g"):
        mine.add(question)
    assert mine.questions[:2] == ["b", "a"] and len(mine.questions[2]) == 1000
    file.write_text(file.read_text() + "no json\n[1]\n" + json.dumps({"root": str(tmp_path), "question": 1}) + "\n")
    again = History(str(tmp_path), file)
    assert again.questions[-1] == "g" and len(file.read_text().splitlines()) == 3
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_history_that_can_not_be_kept_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mine = History(str(tmp_path), tmp_path / "file" / "history.jsonl")
    mine.add("still asked")
    assert mine.questions == ["still asked"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("secret\n")
    (tmp_path / "link.jsonl").symlink_to(elsewhere)
    History(str(tmp_path), tmp_path / "link.jsonl").add("not through a link")
    assert elsewhere.read_text() == "secret\n"


class Ear:
    """Hears what a session tells, in its thread."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._changed = threading.Condition()

    def __call__(self, told: Told) -> None:
        with self._changed:
            self.told.append(told)
            self._changed.notify()

    def wait(self, kind: type[Told], number: int = 0) -> Told:
        """Return the first of KIND; of answers, that to question NUMBER, if one is given."""

        def found() -> list[Told]:
            return [
                one
                for one in self.told
                if isinstance(one, kind)
                and not (number and isinstance(one, Answered) and one.question.number != number)
            ]

        with self._changed:
            assert self._changed.wait_for(found, 60), self.told
            return found()[0]


def test_questions_that_were_overtaken_are_not_asked_and_the_last_one_is(indexed: Path) -> None:
    ear = Ear()
    session = Session(indexed, Settings(), ear)
    session.start()
    for number in range(1, 300):
        session.ask(Question(number, f"retry with backoff {number}"))
    ear.wait(Answered, 299)
    session.close()
    numbers = [one.question.number for one in ear.told if isinstance(one, Answered)]
    assert numbers == sorted(numbers) and numbers[-1] == 299 and len(numbers) < 299


def test_a_session_answers_with_plain_values_and_says_why_a_score_is_one(indexed: Path) -> None:
    ear = Ear()
    session = Session(indexed, Settings(), ear)
    session.start()
    indexed_ = ear.wait(Indexed)
    assert isinstance(indexed_, Indexed) and dict(indexed_.languages)["python"] > 5
    session.ask(Question(1, "retry with backoff", Only(kinds=frozenset({Kind.FUNCTION}), tests=False)))
    answer = ear.wait(Answered)
    session.close()
    assert isinstance(answer, Answered) and answer.enough
    assert {hit.kind for hit in answer.hits} == {Kind.FUNCTION} and answer.hits[0].path == "shop/retry.py"
    assert sum(worth for worth, _, _ in explain(answer.hits[0])) == pytest.approx(answer.hits[0].score)
    assert all(why for _, _, why in explain(answer.hits[0]))


def test_while_the_first_index_is_built_what_there_is_of_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_COMMIT", 30)  # many parts of few files
    monkeypatch.setattr(prepare, "_BATCH_FILES", 2)
    body = "def moor_{0}_{1}(ship):\n    return ship + {1}\n\n\n"
    root = write(tmp_path / "many", {f"m{n}.py": "".join(body.format(n, k) for k in range(12)) for n in range(24)})
    status = Status()
    ready: list[bool] = []

    class Asking(Ear):
        def __call__(self, told: Told) -> None:
            status.hear(told)
            super().__call__(told)
            if isinstance(told, Working) and isinstance(told.event, Progress) and not ready:
                ready.append(status.ready)
                session.ask(Question(1, "moor_0_3"))

    ear = Asking()
    session = Session(root, Settings(), ear)
    session.start()
    answer = ear.wait(Answered)
    assert isinstance(answer, Answered) and 0 < answer.indexed < 1 and answer.state is Stale.FILES
    assert answer.hits[0].symbol == "moor_0_3" and ready == [True]
    ear.wait(Indexed)
    session.ask(Question(2, "moor_23_3"))
    whole = ear.wait(Answered, 2)
    session.close()
    assert isinstance(whole, Answered) and whole.indexed == 1 and whole.hits[0].symbol == "moor_23_3"
    kinds = [type(told) for told in ear.told]
    assert kinds.index(Answered) < kinds.index(Indexed)


def test_what_ends_a_session_is_told(tmp_path: Path) -> None:
    ear = Ear()
    session = Session(tmp_path / "nowhere", Settings(), ear)
    session.start()
    broken = ear.wait(Broken)
    session.close()
    assert isinstance(broken, Broken) and "can not be opened" in str(broken.error)


def test_a_curve_goes_from_its_lowest_to_its_highest() -> None:
    assert sparkline([0.1]) == "▁" and sparkline([0.1, 0.2, 0.16]) == "▁█▅" and len(sparkline([0.0] * 99)) == 16
