"""What can be wrong with an index or its disk gives a message that says what to do, and loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from codesearch import adaptation, bundle, generations
from codesearch.adaptation import Adaptation
from codesearch.errors import IndexBusyError, IndexFormatError, UsageError
from codesearch.events import Progress, Skipped, Warned
from codesearch.files import FileEntry
from codesearch.paths import Generation, Layout
from codesearch.prepare import Task, prepare_all
from codesearch.settings import Settings
from codesearch.text import TEXT_VERSION
from codesearch.types import Stale
from codesearch.workspace import Workspace

from .conftest import age, contents, fresh, index, write

CHILD = '''
import ctypes, os, resource, signal, sys
from pathlib import Path
from codesearch.errors import CodesearchError
from codesearch.settings import Settings
from codesearch.workspace import Workspace

def give_up_root():
    """Let permissions hold for the superuser too: without the capabilities to override them."""
    libc = ctypes.CDLL(None, use_errno=True)
    head, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capset(head, sets) == 0, os.strerror(ctypes.get_errno())

def main():
    what, root = sys.argv[1], Path(sys.argv[2])
    if what == "disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    if what == "user" and os.geteuid() == 0:
        give_up_root()
    workspace = Workspace.open(root)
    try:
        if what == "user":
            answer = workspace.ask("parse query")
            print(answer.state, answer.hits[0].path)
        for _ in workspace.index(workers=0):
            pass
        print("done")
    except CodesearchError as error:
        print(type(error).__name__, error)

if __name__ == "__main__":
    main()
'''


def run(tmp_path: Path, *arguments: object) -> str:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def generation(workspace: Workspace) -> Path:
    return workspace.layout.folder / workspace.layout.current.read_text().strip()


def fact(workspace: Workspace, key: str, value: str) -> None:
    """Change what a manifest says, as JSON."""
    with closing(sqlite3.connect(generation(workspace) / "manifest.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# Two at once.


def test_a_second_indexer_says_that_the_first_is_at_work_and_searching_goes_on(
    workspace: Workspace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codesearch.index.PATIENCE", 0.1)
    index(workspace)
    write(root, "shop/new.py", "def brand_new():\n    pass\n")
    first = workspace.index()
    while not isinstance(next(first), Progress):
        pass
    write(root, "shop/newer.py", "def newer():\n    pass\n")
    with Workspace.open(root) as second:
        with pytest.raises(IndexBusyError, match="another process is writing"):
            index(second, patience=0.1)
        answer = second.ask("parse query")
        assert answer.state is Stale.FILES
        assert answer.hits[0].path == "web/app.ts"
        first.close()
        index(second)
        assert contents(second) == fresh(root, tmp_path / "fresh")


def test_two_processes_that_index_at_once_both_end_well(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, str(script), "plain", str(root)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert said.count("done\n") >= 1
    assert all(s == "done\n" or s.startswith("IndexBusyError") for s in said)
    with Workspace.open(root) as workspace:
        assert workspace.state() is Stale.FRESH
        assert contents(workspace) == fresh(root, tmp_path / "fresh")


# Another format.


def test_an_index_of_a_newer_version_is_left_as_it_is(root: Path) -> None:
    with Workspace.open(root) as workspace:
        index(workspace)
    fact(workspace, "format", "99")
    before = everything(workspace.layout.folder)
    for use in (Workspace.state, index, Workspace.status, lambda workspace: workspace.ask("parse query")):
        with pytest.raises(IndexFormatError, match=r"newer codesearch.*Upgrade"), Workspace.open(root) as workspace:
            use(workspace)
    assert everything(workspace.layout.folder) == before


# Staleness, and the change of generations.


@pytest.mark.parametrize(("rules", "again"), [(f"0.{TEXT_VERSION}", False), ("0.0", True)])
def test_other_rules_build_the_next_generation_with_the_vectors_of_the_old(
    rules: str, again: bool, workspace: Workspace
) -> None:
    """Chunks that are cut as before keep their vectors, but not if another text of theirs was embedded then."""
    chunks = index(workspace).chunks
    fact(workspace, "rules", f'"{rules}"')
    assert workspace.state() is Stale.CHUNKER
    done = index(workspace)
    assert (done.encoded, done.reused) == ((chunks, 0) if again else (0, chunks))
    assert workspace.state() is Stale.FRESH
    assert generation(workspace).name == "gen-2"


def test_another_model_builds_the_next_generation_while_the_old_one_answers(workspace: Workspace, root: Path) -> None:
    chunks = index(workspace).chunks
    fact(workspace, "model", '"another"')
    assert workspace.state() is Stale.MODEL
    assert workspace.ask("parse query", refresh=False).hits[0].path == "web/app.ts"
    assert index(workspace).encoded == chunks
    assert generation(workspace).name == "gen-2"


def test_a_retriever_that_another_training_replaces_meanwhile_is_not_missed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found to be what answers, and is gone when the index for it is begun: then that is built for the next."""

    def accept(length: int) -> str:
        made = tmp_path / str(length)
        shutil.copytree(workspace.base.folder, made)
        (made / "bundle.json").unlink()
        new = bundle.save(made, replace(workspace.base.description, adapted=True, max_tokens=length)).fingerprint
        base = workspace.base.fingerprint
        adaptation.keep(workspace.layout, Adaptation(accepted=True, reason="", base=base, fingerprint=new), made)
        return new

    index(workspace)
    first, later = accept(100), []

    def create(layout: Layout) -> Generation:
        if not later:
            later.append(accept(101))
            adaptation.tidy(layout)
        return original(layout)

    original = generations.create
    monkeypatch.setattr(generations, "create", create)
    index(workspace)
    assert workspace.status().fingerprint == later[0] != first
    assert workspace.state() is Stale.FRESH


def test_an_older_format_is_built_again_and_said_aloud(workspace: Workspace) -> None:
    index(workspace)
    fact(workspace, "format", "0")
    assert workspace.state() is Stale.FORMAT
    assert [event for event in list(workspace.index()) if isinstance(event, Warned)]
    assert workspace.state() is Stale.FRESH


def test_a_generation_stays_while_a_reader_holds_it(workspace: Workspace, root: Path) -> None:
    index(workspace)
    old = workspace.snapshot()
    with Workspace.open(root) as other:
        fact(other, "rules", '"0.0"')
        index(other)
        names = {folder.name for folder in other.layout.folder.glob("gen-*")}
        assert names == {"gen-1", "gen-2"}
        assert len(old.store.read()) == len(old.mirror)
        assert workspace.ask("parse query", refresh=False).hits[0].path == "web/app.ts"  # moves on by itself
        write(root, "shop/new.py", "def brand_new():\n    pass\n")
        index(other)
        names = {folder.name for folder in other.layout.folder.glob("gen-*")}
        assert names == {"gen-2"}


# Whose index it is.


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def test_an_index_that_git_tracks_is_neither_loaded_nor_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("CODESEARCH_HOME", raising=False)
    with Workspace.open(root) as workspace:
        index(workspace)
    git(root, "init")
    git(root, "add", "--force", ".codesearch/CURRENT")
    before = everything(root / ".codesearch")
    with Workspace.open(root) as workspace:
        assert workspace.state() is Stale.MISSING
        assert workspace.layout.folder.is_relative_to(tmp_path / "data")
        events = list(workspace.index())
        assert ["git tracks it" in event.message for event in events if isinstance(event, Warned)] == [True]
        assert workspace.ask("parse query").hits[0].path == "web/app.ts"
    assert everything(root / ".codesearch") == before


def test_an_index_folder_that_is_a_link_is_not_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    victim = tmp_path / "victim"
    victim.mkdir()
    (root / ".codesearch").symlink_to(victim)
    with Workspace.open(root) as workspace:
        index(workspace)
    assert not list(victim.iterdir())


def test_a_copied_root_is_indexed_anew_and_a_moved_one_is_known_again(root: Path, tmp_path: Path) -> None:
    with Workspace.open(root) as workspace:
        index(workspace)
    copy = shutil.copytree(root, tmp_path / "copy")
    assert Workspace.open(copy).state() is Stale.MISSING
    moved = root.rename(tmp_path / "moved")
    assert Workspace.open(moved).state() is Stale.FRESH


def test_an_index_folder_serves_one_root_and_holds_nothing_else(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    with Workspace.open(root, Settings(index_dir=folder)) as workspace:
        index(workspace)
    assert not (root / ".codesearch").exists()
    other = tmp_path / "other"
    write(other, "a.py", "x = 1\n")
    with pytest.raises(UsageError, match="index of"):
        index(Workspace.open(other, Settings(index_dir=folder)))
    precious = tmp_path / "precious"
    write(precious, "thesis.txt", "years of work")
    with pytest.raises(UsageError, match="other things"):
        index(Workspace.open(root, Settings(index_dir=precious)))
    assert [file.name for file in precious.iterdir()] == ["thesis.txt"]


def test_the_index_folder_is_private_and_out_of_gits_sight(workspace: Workspace, root: Path) -> None:
    index(workspace)
    folder = root / ".codesearch"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


# The disk.


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
@pytest.mark.parametrize("limit", [1_000, 1_000_000])
def test_a_full_disk_is_said_and_loses_nothing(root: Path, tmp_path: Path, limit: int) -> None:
    """A limit on file size stands in for the disk: a first build's model does not fit, or a large refresh's rows."""
    big = limit == 1_000_000
    with Workspace.open(root) as workspace:
        if big:
            index(workspace)
            before = contents(workspace)["rows"]
            for i in range(100):
                functions = (f"def f{i}_{j}(x):\n    return g{j}(x, {i})\n\n\n" for j in range(70))
                write(root, f"big/module_{i}.py", "".join(functions))
    said = run(tmp_path, "disk", root, limit)
    assert said.startswith("StorageError"), said
    assert "disk space" in said
    with Workspace.open(root) as workspace:
        if big:
            assert workspace.state() is Stale.FILES
            assert set(before) <= set(contents(workspace)["rows"])
            shutil.rmtree(root / "big")
        index(workspace)
        assert contents(workspace) == fresh(root, tmp_path / "fresh")


@pytest.mark.skipif(sys.platform != "linux", reason="gives up capabilities where root runs it")
def test_without_permission_to_write_a_fresh_index_answers_and_a_stale_one_says_so(
    root: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    age(root)
    with Workspace.open(root) as workspace:
        index(workspace)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    scripts = tmp_path_factory.mktemp("scripts")
    try:
        assert run(scripts, "user", root).splitlines() == ["fresh web/app.ts", "done"]
        (root / "web").chmod(0o755)
        write(root, "web/new.ts", "export const parseNothing = 1;\n")
        (root / "web" / "new.ts").chmod(0o444)
        first, second = run(scripts, "user", root).splitlines()
        assert first == "files web/app.ts"
        assert second.startswith("StorageError")
        assert "permission" in second
    finally:
        for path in (tmp_path, *tmp_path.rglob("*")):
            path.chmod(0o755)


# Files that kill.


class Bomb(FileEntry):
    """A file that ends the process that works on it, as a crash in a grammar would."""

    def __getattribute__(self, name: str) -> object:
        if name == "root" and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)


def test_a_file_that_kills_its_process_is_cut_at_lines_by_name(root: Path) -> None:
    def entry(path: str, kind: type[FileEntry] = FileEntry) -> FileEntry:
        status = (root / path).stat()
        return kind(path, str(root), status.st_size, status.st_mtime_ns)

    entries = [entry("shop/cart.py"), entry("shop/retry.py", Bomb), entry("web/app.ts"), entry("web/server.go")]
    batches = list(prepare_all([Task(e, None) for e in entries], Settings(), bags=True, workers=1))
    files = [file for batch in batches for file in batch.files]
    assert [file.entry.path for file in files] == [e.path for e in entries]
    assert [file.entry.path for file in files if file.given_up] == ["shop/retry.py"]
    assert all(file.rows and not file.skip for file in files)
    assert not any(row.symbol for file in files if file.given_up for row in file.rows)


def test_a_skipped_file_is_reported_with_its_reason(workspace: Workspace, root: Path) -> None:
    (root / "data.py").write_bytes(b"\x7fELF\x00\x00\x00" * 50)
    assert [event.path for event in workspace.index() if isinstance(event, Skipped)] == ["data.py"]


def test_nothing_in_the_folder_one_stands_in_is_taken_for_a_module(tmp_path: Path) -> None:
    """Workers are begun with `python -c`, which looks for modules in the working directory first."""
    ran = tmp_path / "ran"
    root = tmp_path / "hostile"
    trap = f"open({str(ran)!r}, 'w').close()\n"
    for name in ("multiprocessing", "codesearch", "signal", "numpy", "encodings"):
        write(root, f"{name}/__init__.py", trap)
    write(root, "answer.py", "def answer():\n    return 42\n")
    script = "import sys\nif __name__ == '__main__':\n    from codesearch.cli import main\n    main()\n"
    write(tmp_path, "bin/run.py", script)

    for n in range(320):  # enough to be shared out
        write(root, f"m{n}.py", f"def f{n}():\n    return {n}\n")
    command = [sys.executable, str(tmp_path / "bin/run.py"), "index", ".", "--no-train"]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120).stderr
    assert "indexed 326 files" in said, said
    assert not ran.exists()
    list(prepare_all([], Settings(), bags=True, workers=1))
    assert "PYTHONSAFEPATH" not in os.environ, "what else this process starts finds its modules as ever"
    subprocess.run([sys.executable, "-c", "import multiprocessing"], cwd=root, capture_output=True)
    assert ran.exists(), "the trap works"
