"""No text makes a grammar take more than its time, its memory or the stack; it is cut at lines, and nothing is lost."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesearch import apart, memory, parsing, syntax
from codesearch.chunk import chunk
from codesearch.errors import CodesearchError
from codesearch.events import Warned
from codesearch.files import FileEntry
from codesearch.languages import LANGUAGES
from codesearch.prepare import Task, prepare_all
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from tests.chunk.test_chunk import SOURCES, check
from tests.hostile.grammars import EXTENSIONS, LIGHT, cost, stairs, text, work

SECONDS = 12
"""Of work on a text: twice what ends the process that does it."""
LAST_STEP = [("c", "lambdas", 300_000), ("c", "percent literals", 30_000), ("python", "comments", 50_000)]
"""What took gigabytes in the step that tree-sitter takes last: 17 of them, the first."""

needs_limits = pytest.mark.skipif(not memory.addresses(), reason="this system bounds no process by what it takes")


@pytest.fixture(autouse=True)
def _begun_anew() -> Iterator[None]:
    """Let each test have a process of its own to parse in, so that its work is this test's."""
    apart.end()
    yield
    apart.end()


def cut(language: str, source: str) -> bool:
    """Cut SOURCE, check that nothing is lost, and return whether it was given up."""
    said: list[bool] = []
    check(source, chunk("file", source, language, given_up=lambda: said.append(True)))
    return bool(said)


@pytest.mark.parametrize("language", sorted(EXTENSIONS))
def test_each_grammar_ends_in_its_time(language: str) -> None:
    for unit in LIGHT:
        began = work()
        cut(language, text(unit, 60_000, language))
        assert work() - began < SECONDS, unit


@pytest.mark.parametrize("language", ["haskell", "python"])
def test_indentation_that_goes_ever_deeper_ends(language: str) -> None:
    began = work()
    cut(language, stairs(200_000))
    assert work() - began < SECONDS


def test_a_stack_of_a_million_frames_is_deep_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an ordinary stack, freeing what the Java grammar was in the midst of killed the process."""
    ended = []
    monkeypatch.setattr(apart, "_end", lambda: ended.append(True))
    assert cut("java", text("ladder", 450_000))
    assert not ended, "it was stopped, and did not die"
    monkeypatch.undo()


@needs_limits
@pytest.mark.parametrize(("language", "unit", "size"), [("c", "calls", 1_000_000), *LAST_STEP])
def test_memory_is_bounded_and_not_that_of_who_asks(language: str, unit: str, size: int) -> None:
    """1 MB of calls took 2.2 GB with C; what is granted is 320 MB, and 128 more before the process is ended."""
    taken = cost(language, unit, size)
    assert taken.given_up
    assert taken.here < 100
    assert taken.apart < 500
    assert taken.seconds < SECONDS


def test_a_text_of_each_language_is_read_apart_as_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for path in SOURCES:
        known = LANGUAGES.get(path.parent.name)
        if known is None:
            continue
        seen.add(known.name)
        source = syntax.Source(path.read_text("utf-8") + "\n\U0001f642 \ud83d\ude42 \udcff\n")
        said = []
        for little in (10**9, -1):
            monkeypatch.setattr(parsing, "_LITTLE", little)
            monkeypatch.setattr(parsing, "_LONG", little)
            found = syntax.definitions(source, known)
            said.append((chunk(str(path), source.text, known.name), flat(found), syntax.comments(source, known)))
        assert said[0] == said[1], path
    assert len(seen) > 15


def flat(definition: syntax.Definition) -> list[object]:
    """Return all that is said of DEFINITION and those below it, and of where they hang."""
    own: list[object] = [
        getattr(definition, name) for name in definition.__slots__ if name not in ("parent", "children")
    ]
    own.append(definition.parent and definition.parent.name)
    return own + [one for child in definition.children for one in flat(child)]


def test_a_text_that_ends_its_process_is_given_up_and_the_next_one_is_not() -> None:
    assert cut("c", text(*LAST_STEP[1][1:]))
    assert not cut("c", "int answer(void) { return 42; }\n" * 1000)
    assert not syntax.comments(syntax.Source(text(*LAST_STEP[1][1:])), LANGUAGES["c"])


def test_a_process_that_somebody_has_ended_is_begun_again() -> None:
    source = "int answer(void) { return 42; }\n" * 1000
    for _ in range(3):
        assert not cut("c", source)
        assert apart._process is not None
        apart._process.kill()


def test_an_interrupted_question_is_not_answered_to_the_next_one() -> None:
    """Who is interrupted while the process works leaves an answer behind in it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            cut("swift", text("unary", 1_000_000))  # for four seconds
    finally:
        signal.signal(signal.SIGALRM, before)
    good = "".join(f"int good{n}(void) {{ return {n}; }}\n" for n in range(1000))
    assert {piece.symbol for piece in chunk("file", good, "c")} >= {"good0", "good999"}


def test_a_process_that_can_not_be_begun_is_an_error_and_no_fault_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "int answer(void) { return 42; }\n" * 1000
    with monkeypatch.context() as patch, pytest.raises(CodesearchError, match="can not be begun"):
        patch.setattr(sys, "executable", "/nowhere/python")
        cut("c", source)
    with monkeypatch.context() as patch, pytest.raises(CodesearchError, match="ends at once"):
        patch.setattr(apart, "_PROGRAM", "raise SystemExit(1)")
        cut("c", source)
    assert not cut("c", source)


def test_it_is_ended_when_it_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_REST", 0.5)
    assert not cut("c", "int answer(void) { return 42; }\n" * 1000)
    resting = apart._resting
    assert resting is not None
    resting.join()
    assert apart._process is None


def test_it_ends_with_the_process_that_asks() -> None:
    """Killed, and in the middle of a question."""
    script = (
        "import os, signal; from codesearch import apart; from codesearch.chunk import chunk; "
        "chunk('file', 'int answer(void) { return 42; }\\n' * 1000, 'c'); print(apart._process.pid, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    until = time.monotonic() + 30
    while alive(int(asked.stdout)):
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


QUESTIONS = {"flux.c": "where is the flux capacitor calibrated", "tachyon.c": "where is the tachyon relay tuned"}


def hard(root: Path) -> None:
    """Write a file that ends the process that parses it, one that is stopped, one with too much in it, and two good."""
    root.mkdir()
    (root / "flux.c").write_text("/* the flux capacitor is calibrated here */\n" + text(*LAST_STEP[1][1:]))
    (root / "calls.c").write_text(text("calls", 200_000))
    (root / "headings.md").write_text("# a\n" * 21_000)
    (root / "tachyon.c").write_text("/* the tachyon relay is tuned here */\nint tune(void) { return 1; }\n")
    (root / "long.c").write_text("".join(f"int good{n}(void) {{ return {n}; }}\n\n" for n in range(300)))


def test_a_file_that_is_given_up_is_named_and_found_and_so_are_the_others(tmp_path: Path) -> None:
    hard(tmp_path / "root")
    with Workspace.open(tmp_path / "root") as workspace:
        warned = [event.message for event in workspace.index(workers=0) if isinstance(event, Warned)]
        assert [message.partition(" ")[0] for message in warned] == ["calls.c", "flux.c", "headings.md"]
        assert workspace.status().chunks < 2_000, "a file is no more chunks than its lines are worth"
        found = {path: workspace.ask(question, min_score=0.0).hits[0] for path, question in QUESTIONS.items()}
        assert {path: hit.path for path, hit in found.items()} == {path: path for path in QUESTIONS}
        assert found["tachyon.c"].symbol == "tune"
        # As a server does where such a file is saved.
        (tmp_path / "root" / "late.c").write_text("/* the warp core is aligned here */\n" + text(*LAST_STEP[1][1:]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert workspace.ask("where is the warp core aligned", min_score=0.0).hits[0].path == "late.c"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_a_pool_cuts_such_files_as_one_process_does(tmp_path: Path) -> None:
    hard(tmp_path / "root")
    entries = [
        FileEntry(path.name, str(path.parent), path.stat().st_size, 0) for path in sorted((tmp_path / "root").iterdir())
    ]
    tasks = [Task(entry, None) for entry in entries]
    here, pool = (
        [file for batch in prepare_all(tasks, Settings(), bags=True, workers=workers) for file in batch.files]
        for workers in (0, 2)
    )
    assert [file.entry.path for file in here if file.given_up] == ["calls.c", "flux.c", "headings.md"]
    assert here == pool
    assert not multiprocessing.active_children()
