"""What is listed of a folder as people have them: repositories in repositories, links, odd names, no permission."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Git, Write

from codesearch.errors import RootError
from codesearch.files import FileEntry, Skip, explain, look, read, scan
from codesearch.settings import Settings
from codesearch.why import QUIET, Why

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file systems")


def seen(root: Path, settings: Settings | None = None) -> dict[str, Why | None]:
    """What `scan` yields, in its order; None stands for a file to index. `look` must say the same of each."""
    settings = settings or Settings()
    found = list(scan(root, settings))
    for entry in found:
        told = look(root, entry.path, settings)
        assert told == entry or (isinstance(told, Skip) and isinstance(entry, Skip) and told.why is entry.why)
    return {entry.path: entry.why if isinstance(entry, Skip) else None for entry in found}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture(params=["repository", "plain folder"])
def either(request: pytest.FixtureRequest, root: Path, git: Git) -> Path:
    """A root that is a repository, and one that is not."""
    if request.param == "repository":
        git(root, "init")
    return root


def test_entries_come_sorted_with_size_and_time(either: Path, write: Write) -> None:
    write(either, {"b.py": "12345", "a/z.py": "", "a.py": "", "a-b/x.py": "", "Z.py": "", "a/b/c.py": ""})
    os.utime(either / "b.py", ns=(1, 1_700_000_000_123_456_700))
    found = [entry for entry in scan(either, Settings()) if isinstance(entry, FileEntry)]
    assert [entry.path for entry in found] == ["Z.py", "a-b/x.py", "a.py", "a/b/c.py", "a/z.py", "b.py"]
    assert (found[-1].size, found[-1].mtime_ns) == (5, 1_700_000_000_123_456_700)
    assert found[-1].absolute.read_text() == "12345"


def test_a_file_deleted_but_still_tracked_is_not_listed(root: Path, git: Git, write: Write) -> None:
    write(root, {"a.py": "", "b.py": "", "src/c.py": ""})
    git(root, "init")
    git(root, "add", ".")
    (root / "a.py").unlink()
    (root / "src" / "c.py").unlink()
    assert seen(root) == {"b.py": None}


def test_a_linked_worktree_is_a_root_like_any(tmp_path: Path, root: Path, git: Git, write: Write) -> None:
    write(root, {"a.py": "", ".gitignore": "*.log"})
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "x")
    write(root, {".git/info/exclude": "new.py"})
    git(root, "worktree", "add", str(tmp_path / "other"))
    write(tmp_path / "other", {"x.log": "", "new.py": "", "b.py": ""})
    assert seen(tmp_path / "other") == {"a.py": None, "b.py": None}


def test_a_worktree_inside_is_a_second_copy_of_the_same_code(root: Path, git: Git, write: Write) -> None:
    write(root / "main", {"a.py": ""})
    git(root / "main", "init")
    git(root / "main", "add", ".")
    git(root / "main", "commit", "-m", "x")
    git(root / "main", "worktree", "add", "../beside")
    git(root / "main", "worktree", "add", "inside")
    assert seen(root / "main") == {"a.py": None, "inside": Why.WORKTREE}
    assert seen(root) == {"beside": Why.WORKTREE, "main/a.py": None, "main/inside": Why.WORKTREE}
    assert look(root, "beside/a.py", Settings()) == Skip("beside/a.py", Why.WORKTREE, f"of {root / 'main'}")


def test_submodules_are_named_and_not_entered(tmp_path: Path, root: Path, git: Git, write: Write) -> None:
    library = write(tmp_path / "library", {"lib.py": ""})
    git(library, "init")
    git(library, "add", ".")
    git(library, "commit", "-m", "x")
    git(root, "init")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", str(library), "vendor/lib")
    write(root, {"a.py": ""})
    assert seen(root) == {"a.py": None, "vendor/lib": Why.SUBMODULE}
    assert explain(root, "vendor/lib/lib.py", Settings()) == Skip("vendor/lib/lib.py", Why.SUBMODULE, "vendor/lib")
    assert seen(root, Settings(no_ignore=True)) == {"a.py": None, "vendor/lib": Why.SUBMODULE}
    assert seen(root / "vendor" / "lib") == {"lib.py": None}, "as a root it is what was asked for"


def test_repositories_inside_are_walked_by_their_own_rules(either: Path, git: Git, write: Write) -> None:
    write(either, {".gitignore": "*.tmp\nignored/", ".ignore": "secret_plans/", "a.py": ""})
    inner = write(
        either / "work" / "inner", {".gitignore": "*.log", "b.py": "", "x.log": "", "x.tmp": "", "kept.log": ""}
    )
    git(inner, "init")
    git(inner, "add", "--force", "kept.log")
    write(inner, {"secret_plans/c.py": ""})
    git(write(either / "ignored", {"d.py": ""}), "init")
    expected = dict.fromkeys(["a.py", "work/inner/b.py", "work/inner/kept.log", "work/inner/x.tmp"])
    assert seen(either) == expected
    told = explain(either, "work/inner/x.log", Settings())
    assert told == Skip("work/inner/x.log", Why.IGNORED, "work/inner/.gitignore:1: *.log")


@posix
def test_links_are_never_followed(tmp_path: Path, either: Path, git: Git, write: Write) -> None:
    outside = write(tmp_path / "outside", {"o.py": "", "folder/p.py": ""})
    write(either, {"real/a.py": ""})
    for name, target in {
        "file_in.py": either / "real" / "a.py",
        "folder_in": Path("real"),
        "file_out.py": outside / "o.py",
        "folder_out": outside / "folder",
        "relative_out": Path("../outside"),
        "broken": Path("nowhere"),
        "loop": Path("loop"),
        "real/up": Path(".."),
    }.items():
        (either / name).symlink_to(target)
    if (either / ".git").exists():
        git(either, "add", "file_in.py", "folder_in", "file_out.py", "folder_out")
    assert seen(either) == {
        "broken": Why.BROKEN,
        "file_out.py": Why.OUTSIDE,
        "folder_out": Why.OUTSIDE,
        "loop": Why.BROKEN,
        "real/a.py": None,
        "relative_out": Why.OUTSIDE,
    }
    assert look(either, "file_in.py", Settings()) == Skip("file_in.py", Why.LINK, "to real/a.py")
    assert explain(either, "folder_out/p.py", Settings()).why is Why.OUTSIDE  # type: ignore[union-attr]
    assert look(either, "../outside/o.py", Settings()).why is Why.OUTSIDE  # type: ignore[union-attr]


@posix
def test_a_link_that_takes_a_files_place_after_the_scan_is_not_followed(
    tmp_path: Path, root: Path, write: Write
) -> None:
    outside = write(tmp_path / "outside", {"a.py": "private", "b.py": "private"})
    write(root, {"src/a.py": "", "b.py": ""})
    inner, outer = sorted(
        (entry for entry in scan(root, Settings()) if isinstance(entry, FileEntry)), key=lambda e: -len(e.path)
    )
    (root / "b.py").unlink()
    (root / "b.py").symlink_to(outside / "b.py")
    (root / "src").rename(root / "moved")
    (root / "src").symlink_to(outside)
    for entry in (inner, outer):
        content = read(entry, Settings())
        assert isinstance(content, Skip), entry.path


@posix
def test_what_is_not_a_regular_file_is_named_and_never_opened(
    either: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(either, {"a.py": "", "b.py": ""})
    os.mkfifo(either / "pipe.py")
    monkeypatch.chdir(either)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
    named = {"a.py": None, "b.py": None, "pipe.py": Why.SPECIAL, "socket.py": Why.SPECIAL}
    hidden_by_git = {"a.py": None, "b.py": None}
    assert seen(either) in (named, hidden_by_git)
    entry = next(entry for entry in scan(either, Settings()) if isinstance(entry, FileEntry))
    (either / "a.py").unlink()
    os.mkfifo(either / "a.py")
    assert read(entry, Settings()) == Skip("a.py", Why.SPECIAL)
    (either / "a.py").unlink()
    (either / "a.py").mkdir()
    assert read(entry, Settings()) == Skip("a.py", Why.SPECIAL)
    (either / "a.py").rmdir()
    assert read(entry, Settings()) == Skip("a.py", Why.MISSING)


@posix
def test_a_folder_without_permission_is_named_and_the_rest_goes_on(
    either: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(either, {"closed/a.py": "", "open/a.py": "", "z.py": ""})
    if os.geteuid() == 0:  # nothing is closed to root: say no in the system's place
        allowed = os.scandir

        def scandir(path: str) -> object:
            if path == str(either / "closed"):
                raise PermissionError(13, "Permission denied")
            return allowed(path)

        monkeypatch.setattr(os, "scandir", scandir)
    else:
        (either / "closed").chmod(0)
    try:
        assert {entry.path: entry for entry in scan(either, Settings())}.keys() == {"closed", "open/a.py", "z.py"}
        (skip,) = [entry for entry in scan(either, Settings()) if isinstance(entry, Skip)]
        assert (skip.why, skip.detail) == (Why.UNREADABLE, "Permission denied")
    finally:
        (either / "closed").chmod(0o700)


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_names_may_be_any_bytes(either: Path) -> None:
    names = [
        b"caf\xe9.py",
        b"new\nline.py",
        b'tab\tquote".py',
        b"\xf0\x9f\x90\x8d.py",
        b" lead.py",
        b"-dash.py",
        b":(top)x.py",
        b"*.py",
    ]
    for name in names:
        (either / os.fsdecode(name)).write_bytes(b"x = 1\n")
    assert {os.fsencode(path) for path in seen(either)} == set(names)
    for entry in scan(either, Settings()):
        assert isinstance(entry, FileEntry)
        assert read(entry, Settings()) == b"x = 1\n"


def test_no_index_is_ever_listed_wherever_it_is(either: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(either, {"a.py": "", ".codesearch/CURRENT.py": "", "deep/.codesearch/x.py": "", "my index/x.py": ""})
    settings = Settings(hidden=True, index_dir=either / "my index")
    assert seen(either, settings) == {"a.py": None}
    assert explain(either, "my index/x.py", settings) == Skip("my index/x.py", Why.INDEX, "my index")
    monkeypatch.setenv("CODESEARCH_HOME", str(either / "homes"))
    from codesearch.paths import index_folder

    write(index_folder(either), {"x.py": ""})
    assert seen(either) == {"a.py": None, "my index/x.py": None}


def test_folders_that_tools_fill_stay_out_unless_asked_for(either: Path, write: Write) -> None:
    write(
        either,
        {
            "a.py": "",
            "node_modules/m/index.js": "",
            "env/pyvenv.cfg": "",
            "env/lib/x.py": "",
            "cache/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n",
            "cache/x.rs": "",
            "decoy/CACHEDIR.TAG": "not one",
            "decoy/x.rs": "",
        },
    )
    installed = dict.fromkeys(["cache", "env", "node_modules"], Why.INSTALLED)
    assert seen(either) == {"a.py": None, "decoy/CACHEDIR.TAG": None, "decoy/x.rs": None} | installed
    write(either, {".ignore": "!node_modules/\n!env/"})
    assert seen(either).keys() >= {"node_modules/m/index.js", "env/lib/x.py", "cache"}
    assert seen(either / "env")["lib/x.py"] is None


def test_large_files_are_named(either: Path, write: Write) -> None:
    write(either, {"small.py": "x" * 10, "large.py": "x" * 11})
    settings = Settings(max_filesize=10)
    assert seen(either, settings) == {"large.py": Why.TOO_LARGE, "small.py": None}
    (entry,) = [entry for entry in scan(either, settings) if isinstance(entry, FileEntry)]
    write(either, {"small.py": "x" * 11})
    grown = read(entry, settings)
    assert isinstance(grown, Skip)
    assert grown.why is Why.TOO_LARGE


def test_a_path_may_be_asked_about_in_any_spelling(root: Path, tmp_path: Path, write: Write) -> None:
    write(root, {"src/a.py": ""})
    (tmp_path / "link").symlink_to(root)
    for asked in ("src/a.py", "./src/../src/a.py", root / "src" / "a.py", tmp_path / "link" / "src" / "a.py"):
        for given in (root, tmp_path / "link"):
            found = look(given, asked, Settings())
            assert isinstance(found, FileEntry)
            assert found.path == "src/a.py"
    for asked, why in {
        "src": Why.FOLDER,
        ".": Why.FOLDER,
        "src/b.py": Why.MISSING,
        "src/a.py/b": Why.MISSING,
        "..": Why.OUTSIDE,
        "": Why.FOLDER,
    }.items():
        found = look(root, asked, Settings())
        assert isinstance(found, Skip)
        assert found.why is why
        assert why in QUIET or why is Why.OUTSIDE


@posix
def test_a_folder_deeper_than_recursion_goes_is_walked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    try:
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        Path("a.py").touch()
        (entry,) = scan(root, Settings())
        assert entry.path == "d/" * 1500 + "a.py"
    finally:
        os.chdir(root)
        subprocess.run(["rm", "-rf", "d"], check=True)  # too deep for pytest to clean up


@pytest.mark.parametrize(
    ("name", "hint"),
    [("absent", "does not exist"), ("file.py", "is a file: give the folder"), ("loop", "cannot be read")],
)
def test_a_root_that_is_none_is_refused_at_once(root: Path, write: Write, name: str, hint: str) -> None:
    write(root, {"file.py": ""})
    (root / "loop").symlink_to("loop")
    with pytest.raises(RootError, match=hint):
        scan(root / name, Settings())


@posix
def test_a_root_without_permission_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.chmod(0)
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(RootError, match="no permission"):
        scan(root, Settings())
    root.chmod(0o700)


def test_a_name_that_changed_its_case_is_listed_as_it_is(root: Path, git: Git, write: Write) -> None:
    """Git believes a file system that ignores case to hold the old name still."""
    write(root, {"Reader.py": "", "other.py": ""})
    git(root, "init")
    git(root, "add", ".")
    git(root, "config", "core.ignoreCase", "true")
    (root / "Reader.py").rename(root / "reader.py")
    assert seen(root) == {"other.py": None, "reader.py": None}
