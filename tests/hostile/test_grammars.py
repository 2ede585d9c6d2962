"""No text makes a grammar take more than its time, its memory or the stack; it is cut at lines, and nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from codesearch import memory
from codesearch.chunk import chunk
from codesearch.events import Warned
from codesearch.workspace import Workspace
from tests.chunk.test_chunk import check
from tests.hostile.grammars import EXTENSIONS, LIGHT, stairs, text

SECONDS = 12
"""Of this thread's and the parser's work together: three times the limit, for a parser looks up only now and then."""


def cut(language: str, source: str) -> bool:
    """Cut SOURCE, check that nothing is lost, and return whether it was given up."""
    said: list[bool] = []
    check(source, chunk("file", source, language, given_up=lambda: said.append(True)))
    return bool(said)


@pytest.mark.parametrize("unit", LIGHT)
@pytest.mark.parametrize("language", sorted(EXTENSIONS))
def test_each_grammar_ends_in_its_time(language: str, unit: str) -> None:
    began = time.process_time()
    cut(language, text(unit, 60_000, language))
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("language", ["haskell", "python"])
def test_indentation_that_goes_ever_deeper_ends(language: str) -> None:
    began = time.process_time()
    cut(language, stairs(200_000))
    assert time.process_time() - began < SECONDS


def test_a_stack_of_a_million_frames_is_deep_enough() -> None:
    """On an ordinary stack, freeing what the Java grammar was in the midst of killed the process."""
    assert cut("java", text("ladder", 450_000))


@pytest.mark.skipif(not memory.resident(), reason="this system does not tell how much memory a process takes")
def test_memory_is_bounded_and_given_back() -> None:
    """1 MB of calls took 2.2 GB with C; what is granted is 320 MB, and looked after now and then."""
    before = memory.resident()
    for _ in range(3):
        assert cut("c", text("calls", 1_000_000))
    assert memory.resident() - before < 200 << 20


def test_a_file_that_is_given_up_is_named_and_found_and_so_are_the_others(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "hard.c").write_text("/* the flux capacitor is calibrated here */\n" + text("calls", 900_000))
    (root / "headings.md").write_text("# a\n" * 50_000)
    (root / "good.c").write_text("/* the tachyon relay is tuned here */\nint tune(void) { return 1; }\n")
    with Workspace.open(root) as workspace:
        warned = [event.message for event in workspace.index(workers=0) if isinstance(event, Warned)]
        assert [message.partition(" ")[0] for message in warned] == ["hard.c", "headings.md"]
        assert workspace.status().chunks < 5_000, "a file is no more chunks than its lines are worth"
        found = {
            question: workspace.ask(question, min_score=0.0).hits[0]
            for question in ("where is the flux capacitor calibrated", "where is the tachyon relay tuned")
        }
    assert [hit.path for hit in found.values()] == ["hard.c", "good.c"]
    assert found["where is the tachyon relay tuned"].symbol == "tune"
