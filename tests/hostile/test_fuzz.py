"""Sources of all languages, spliced with each other and with what grammars hate, become rows; moving files break none.

HOSTILE_ROUNDS says how often each is tried.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from codesearch.chunk import chunk, decode
from codesearch.events import Done
from codesearch.files import FileEntry
from codesearch.languages import language_of
from codesearch.prepare import Task, prepare
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from tests.chunk.test_chunk import SOURCES, check
from tests.hostile.corpus import OSC, function
from tests.hostile.grammars import UNITS, work

ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "2"))
BYTES = [path.read_bytes() for path in SOURCES]
SECONDS = 12
"""Three times what parsing one file may take."""


def spliced(dice: random.Random, data: bytes) -> bytes:
    """Return DATA with a few pieces of other files, of hostile units and of noise in it, and a few of its own gone."""
    for _ in range(dice.randrange(1, 8)):
        at = dice.randrange(len(data) + 1)
        other = dice.choice(BYTES)
        start = dice.randrange(len(other))
        piece = dice.choice(
            (
                other[start : start + dice.randrange(2_000)],
                dice.choice(list(UNITS.values())).encode() * dice.choice((1, 3, 50, 2_000)),
                dice.randbytes(dice.randrange(40)),
                OSC.encode(),
                b"\r\n" * dice.randrange(20),
                " \t\u2028\ufeff\u202e\U0001f642".encode(),
            )
        )
        data = data[:at] + piece + data[at + dice.choice((0, 0, 1, 50, 1_000)) :]
    return data


@pytest.mark.parametrize("path", SOURCES, ids=[path.parent.name for path in SOURCES])
def test_spliced_sources_become_rows_and_nothing_is_lost(path: Path, tmp_path: Path) -> None:
    """As files, through all that a file goes through before it meets the store, and each within bounded time."""
    dice = random.Random(path.name)
    for number in range(ROUNDS):
        data = spliced(dice, path.read_bytes())
        (tmp_path / path.name).write_bytes(data)
        began = work()
        batch = prepare(
            [Task(FileEntry(path.name, str(tmp_path), len(data), 0), None)], Settings(), bags=number % 2 == 0
        )
        assert work() - began < SECONDS, (path.name, number)
        (prepared,) = batch.files
        text = decode(data)
        pieces = chunk(path.name, text, language_of(path.name, data))
        check(text, pieces)
        if prepared.skip is None:
            last = text.count("\n") + 1
            assert [row.start_line for row in prepared.rows] == [piece.span.start_line for piece in pieces]
            assert all(1 <= row.start_line <= row.end_line <= last for row in prepared.rows)
            assert len({(row.digest, row.copy) for row in prepared.rows}) == len(prepared.rows)
            for text_of_row in (*prepared.documents, *prepared.headings, *(row.symbol for row in prepared.rows)):
                text_of_row.encode("utf-8", "surrogatepass")


def test_files_that_change_while_they_are_indexed_break_nothing(tmp_path: Path) -> None:
    """They grow, shrink, vanish, and become links and pipes; when they rest, the index is what it should be."""
    root, private = tmp_path / "root", tmp_path / "private.py"
    root.mkdir()
    private.write_text("def zanzibar_launch_code():\n    return 1234\n")
    (root / "innocent.py").write_text(function("innocence"))
    over = threading.Event()

    def change(seed: int) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            place = root / f"moving{seed}_{dice.randrange(10)}.py"
            try:
                if place.is_dir() and not place.is_symlink():
                    place.rmdir()
                else:
                    place.unlink(missing_ok=True)
                match dice.randrange(6):
                    case 0:
                        place.symlink_to(private)
                    case 1:
                        place.mkdir()
                    case 2:
                        os.mkfifo(place)
                    case _:
                        with place.open("w") as file:
                            for _ in range(dice.randrange(1, 400)):
                                file.write(function(f"moving{dice.randrange(100)}"))
                                file.flush()
            except OSError:
                pass

    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    try:
        with Workspace.open(root) as workspace:
            for _ in range(6):
                assert isinstance(list(workspace.index(workers=0))[-1], Done)
                answer = workspace.ask("where is the innocence of the stars done", refresh=False)
                assert answer.hits[0].path == "innocent.py"
                answer = workspace.ask("zanzibar launch code", 50, min_score=0.0, refresh=False)
                assert not any("zanzibar" in hit.text for hit in answer.hits)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    with Workspace.open(root) as workspace, Workspace.open(root, Settings(index_dir=tmp_path / "fresh")) as fresh:
        list(workspace.index(workers=0))
        list(fresh.index(workers=0))
        files = [
            {f.path: f.hash for f in w.snapshot().manifest.files().values() if f.chunks} for w in (workspace, fresh)
        ]
        assert files[0] == files[1]
