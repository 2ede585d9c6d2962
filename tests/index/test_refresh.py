"""An index follows its files: created, changed, renamed, deleted; and is then the index that one builds afresh."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codesearch.confidence import foreign_questions
from codesearch.errors import RootError
from codesearch.events import Planned, Progress, Skipped
from codesearch.settings import Settings
from codesearch.types import Stale
from codesearch.workspace import Workspace

from .conftest import age, contents, finish, fresh, index, write


def test_index_then_ask_finds_what_is_meant(workspace: Workspace) -> None:
    assert workspace.state() is Stale.MISSING
    done = index(workspace)
    assert (done.files, done.indexed, done.removed, done.reused, done.skipped) == (6, 7, 0, 0, 0)
    assert done.encoded == done.chunks > 10
    assert workspace.state() is Stale.FRESH
    answer = workspace.ask("retry_with_backoff")
    assert answer.state is Stale.FRESH
    hit = answer.hits[0]
    assert (hit.path, hit.symbol, hit.span.start_line) == ("shop/retry.py", "retry_with_backoff", 10)
    assert hit.text.startswith("def retry_with_backoff")


def test_created_changed_renamed_and_deleted_files_leave_the_index_that_a_fresh_build_gives(
    workspace: Workspace, root: Path, tmp_path: Path
) -> None:
    index(workspace)
    write(root, "shop/stock.py", "def in_stock(item):\n    return item.count > 0\n")
    write(root, "shop/cart.py", (root / "shop/cart.py").read_text().replace("growing", "x").replace("0.2", "0.25"))
    (root / "web/server.go").rename(root / "web/serve.go")
    (root / "README.md").unlink()
    assert workspace.state() is Stale.FILES
    done = index(workspace)
    assert (done.indexed, done.removed) == (3, 2)
    assert workspace.state() is Stale.FRESH
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_only_chunks_with_new_content_are_encoded(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    """Lines inserted on top move functions and embed nothing again but the piece they stand in."""
    index(workspace)
    file = root / "shop/retry.py"
    file.write_text("import os\n" + file.read_text().replace("return y", "return not y"))
    done = index(workspace)
    assert (done.indexed, done.encoded, done.reused) == (1, 2, 2)
    hit = workspace.ask("retry_with_backoff").hits[0]
    assert hit.span.start_line == 11
    assert hit.text.startswith("def retry_with_backoff")
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_an_index_that_grew_is_as_sure_as_one_built_afresh(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    """Confidence is measured by how near the index comes to foreign questions, which each chunk can change."""

    def afresh(name: str) -> float:
        with Workspace.open(root, Settings(index_dir=tmp_path / name)) as other:
            return other.ask("parse the query", min_score=0).confidence

    small = workspace.ask("parse the query", min_score=0).confidence
    write(root, "kitchen.md", foreign_questions()[0] * 3)
    grown = workspace.ask("parse the query", min_score=0).confidence
    assert grown == pytest.approx(afresh("grown")) != pytest.approx(small)
    (root / "kitchen.md").unlink()
    assert workspace.ask("parse the query", min_score=0).confidence == pytest.approx(small)


def test_named_paths_alone_can_be_refreshed(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    index(workspace)
    write(root, "shop/stock.py", "def in_stock(item):\n    return item.count > 0\n")
    (root / "web/app.ts").unlink()
    write(root, "shop/cart.py", "TAX = 1\n")
    done = index(workspace, paths=["shop/stock.py", "web/app.ts"])
    assert (done.indexed, done.removed) == (1, 1)
    assert workspace.state() is Stale.FILES
    index(workspace, paths=["shop/cart.py"])
    assert workspace.state() is Stale.FRESH
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_a_change_within_the_tick_of_the_clock_is_seen(workspace: Workspace, root: Path) -> None:
    """Same size, same date, other content: what git calls racily clean."""
    file = write(root, "shop/racy.py", "def before():\n    pass\n")
    before = file.stat()
    index(workspace)
    file.write_text("def behind():\n    pass\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert workspace.state() is Stale.FILES
    index(workspace)
    assert workspace.ask("behind").hits[0].symbol == "behind"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such date")
def test_a_change_that_keeps_size_and_date_is_seen_however_old_the_date(workspace: Workspace, root: Path) -> None:
    """What `cp -p`, `rsync --times` and archives leave, and two files that change their places."""
    one, other = (
        write(root, "one.py", "def before():\n    pass\n"),
        write(root, "other.py", "def behind():\n    pass\n"),
    )
    age(root)
    index(workspace)
    one.rename(root / "aside")
    other.rename(one)
    (root / "aside").rename(other)
    assert workspace.state() is Stale.FILES
    assert {hit.path for hit in workspace.ask("before").hits[:1]} == {"other.py"}
    assert one.stat().st_mtime == other.stat().st_mtime == 1_000_000_000


def test_a_file_that_is_only_touched_is_read_once_and_not_indexed_again(workspace: Workspace, root: Path) -> None:
    age(root)
    index(workspace)
    os.utime(root / "shop/cart.py", (1_100_000_000, 1_100_000_000))
    time.sleep(0.1)
    assert workspace.state() is Stale.FRESH
    events = list(workspace.index())
    done = finish(events)
    assert (done.indexed, done.encoded, done.reused) == (0, 0, 0)
    assert [e.files for e in events if isinstance(e, Planned)] == [1]
    assert [e.files for e in workspace.index() if isinstance(e, Planned)] == [0]


def test_nothing_to_do_needs_neither_lancedb_nor_the_model(workspace: Workspace, root: Path) -> None:
    age(root)
    index(workspace)
    code = (
        "import sys; from pathlib import Path; from codesearch.workspace import Workspace\n"
        f"events = list(Workspace.open(Path({str(root)!r})).index())\n"
        "assert events[-1].indexed == 0, events\n"
        "print(sorted({'lancedb', 'pyarrow', 'onnxruntime', 'numpy', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_files_that_can_not_be_indexed_are_named_each_time_and_the_rest_goes_on(
    workspace: Workspace, root: Path
) -> None:
    (root / "picture.py").write_bytes(b"\x00\x01\x02" * 100)
    strange = os.fsdecode(bytes(root) + b"/caf\xe9.py")
    Path(strange).write_text("def cafe():\n    pass\n")
    for _ in range(2):
        skipped = {e.path: e.reason for e in workspace.index() if isinstance(e, Skipped)}
        assert workspace.state() is Stale.FRESH
        assert "binary" in skipped["picture.py"]
        assert "UTF-8" in skipped[Path(strange).name]
    assert workspace.status().files == 6
    (root / "picture.py").write_text("def picture():\n    pass\n")
    index(workspace)
    assert workspace.ask("picture").hits[0].path == "picture.py"


def test_processes_and_one_process_build_the_same_index(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    for i in range(200):
        write(root, f"many/module_{i}.py", f"def function_{i}(x):\n    return x + {i}\n")
    events = list(workspace.index(workers=2))
    assert finish(events).files == 206
    assert [e.files for e in events if isinstance(e, Progress)][-1] == 207
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_a_folder_with_nothing_to_index_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    write(root, "empty.py", "")
    with pytest.raises(RootError, match="nothing to index"), Workspace.open(root) as workspace:
        index(workspace)
    assert Workspace.open(root).state() is Stale.MISSING


def test_an_index_of_which_all_files_went_is_as_empty_as_a_new_one(workspace: Workspace, root: Path) -> None:
    index(workspace)
    for file in root.rglob("*.*"):
        if file.is_file() and ".codesearch" not in file.parts:
            file.unlink()
    write(root, "picture.py", "\0" * 100)
    for _ in range(2):
        with pytest.raises(RootError, match="nothing to index"):
            index(workspace)
        assert not workspace.ask("retry_with_backoff", refresh=False).hits
    write(root, "again.py", "def again():\n    pass\n")
    assert workspace.ask("again").hits[0].path == "again.py"


def test_status_and_inspect_say_what_is_there(workspace: Workspace, root: Path) -> None:
    before = workspace.status()
    assert (before.state, before.chunks) == (Stale.MISSING, 0)
    done = index(workspace)
    status = workspace.status()
    assert (status.state, status.files, status.chunks) == (Stale.FRESH, 6, done.chunks)
    assert ("python", 2) in [(language, files) for language, files, _ in status.languages]
    assert 0 < status.bytes < 200_000 < status.model_bytes
    inspection = workspace.inspect("shop/retry.py")
    assert inspection.indexed
    assert "retry_with_backoff" in [chunk.symbol for chunk in inspection.chunks]
    write(root, "shop/retry.py", "x = 1\n")
    assert not workspace.inspect(root / "shop/retry.py").indexed
    write(root, ".env", "PASSWORD=1\n")
    assert workspace.inspect(".env").skip is not None
