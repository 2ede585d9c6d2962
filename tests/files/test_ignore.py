"""Which names the ignore files leave: as git has it, in ripgrep's order of precedence, at any root."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Git, Write
from hypothesis import given, settings
from hypothesis import strategies as st

from codesearch.files import FileEntry, Skip, explain, look, scan
from codesearch.ignore import MAX_BYTES, IgnoreFile
from codesearch.settings import Settings
from codesearch.why import Why

NAMES = ["a", "b", "ab", "ba", "a b", "a*", "[a]", "-", "a.b", ".b", "abc", "a\\b", "#a", "!a", "B", "]", "^", "a "]
FOLDERS = ["", *("d" + name for name in NAMES[:9]), ".b.d", "da/b", "da/dab", "db/a", "da/b/a", "da/a.b"]
if os.name == "nt":
    NAMES = [name for name in NAMES if not set(name) & set('*\\"') and not name.endswith(" ")]

TOKENS = [
    *"abcdfB. -][!#\\\t*?",
    *r"** *** \a \* [ab] [!a] [^b] [a-c] [c-a] []] [!]] [a/b] [/] [a\]] [\a-c] [a-] [-a] [--/] {a,b}".split(),
    *"[[:alpha:]] [[:upper:][:punct:]] [[:x:]] [[a] [:alpha:] [a-[:alpha:]]".split(),
]
segments = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=3).map("".join)
lines = st.tuples(
    st.sampled_from(["", "", "", "!", "/", "!/", "\\!", "\\#", " "]),
    st.lists(segments, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "/", " ", "  ", "/ ", "//", "\r", "\\ "]),
).map("".join)


def quirk(line: str) -> bool:
    """Git reads `x**/y` as `x` and then `**/y`, against its own documentation; we go by the documentation."""
    start = line.removeprefix("!").removeprefix("/")
    literal = start[: min((start.find(char) for char in "*?[\\" if char in start), default=0)]
    return bool(literal) and not literal.endswith("/") and start[len(literal) :].startswith("**")


def listed(root: Path, settings: Settings | None = None) -> list[str]:
    return [entry.path for entry in scan(root, settings or Settings()) if isinstance(entry, FileEntry)]


contents = st.lists(lines.filter(lambda line: not quirk(line)), min_size=1, max_size=5).map("\n".join)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder full of awkward names, and a git folder elsewhere, so that the folder itself is no repository."""
    root, store = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("store")
    subprocess.run(["git", "init", "--quiet", "--bare", str(store)], check=True)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        for name in (*NAMES, *("f" + name for name in NAMES)):
            if not (root / folder / name).exists():
                (root / folder / name).touch()
    return root, store


@settings(max_examples=150, deadline=None)
@given(top=contents, below=st.dictionaries(st.sampled_from(["da", "db", "da/b"]), contents, max_size=2))
def test_gitignore_means_what_it_means_to_git(tree: tuple[Path, Path], top: str, below: dict[str, str]) -> None:
    root, store = tree
    for folder in ("", "da", "db", "da/b"):
        file = root / folder / ".gitignore"
        content = below.get(folder) if folder else top
        if content is not None:
            file.write_text(content, newline="")
        else:
            file.unlink(missing_ok=True)
    listed = subprocess.run(
        ["git", f"--git-dir={store}", "--work-tree=.", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout
    theirs = {name for name in os.fsdecode(listed).split("\0") if name}
    ours = {found.path for found in scan(root, Settings(hidden=True)) if isinstance(found, FileEntry)}
    assert ours == theirs


WORDS = "a b p q p/ q/ *.x * p/* **/q /p /q/ q/p c.* .h .hid/ p/** ? /a p/q/a".split()
rules = st.lists(
    st.tuples(st.sampled_from(["", "", "!"]), st.sampled_from(WORDS)).map("".join), min_size=1, max_size=3
).map("\n".join)
PLACES = [
    f"{folder}{name}"
    for folder in ("", "p/", "q/", "p/q/", "q/p/", "p/.hid/")
    for name in (".gitignore", ".ignore", ".codesearchignore")
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for folder in ("", "p", "q", "p/q", "q/p", "p/.hid"):
        (root / folder).mkdir(exist_ok=True)
        for name in ("a", "b", "c.x", ".h"):
            (root / folder / name).touch()
    for repository in (root, root / "q" / "p"):
        subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    return root


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(st.sampled_from(PLACES), rules, max_size=6), hidden=st.booleans(), data=st.data())
def test_with_git_and_without_and_for_one_file_the_answer_is_the_same(
    repository: Path, files: dict[str, str], hidden: bool, data: st.DataObject
) -> None:
    """Git lists in one way and we walk in another; one file is judged in a third."""
    for place in PLACES:
        (repository / place).unlink(missing_ok=True)
    for place, content in files.items():
        (repository / place).write_text(content)
    wanted = Settings(hidden=hidden)
    with_git = listed(repository, wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(repository / "nothing"))
        assert listed(repository, wanted) == with_git
    everything = sorted(
        path.relative_to(repository).as_posix()
        for path in repository.rglob("*")
        if path.is_file() and ".git" not in path.parts
    )
    path = data.draw(st.sampled_from(everything))
    assert isinstance(look(repository, path, wanted), FileEntry) == (path in with_git)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 50 + "b", "a" * 250),
        ("x/" + "*a" * 50 + "b", "x/" + "a" * 250),
        ("**/a/" * 30 + "b", "a/" * 2000 + "c"),
        ("**/*a*a*/" * 30 + "*" * 200 + "b", "aaa/" * 1000 + "c" * 200),
        ("[a" * 20_000, "a" * 250),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    """The ignore file is the repository's: a matcher that backtracks hangs (pathspec: six stars, 100 letters, 10 s)."""
    began = time.perf_counter()
    assert IgnoreFile(pattern.encode(), ".gitignore").match(path, path.rpartition("/")[2], False) is None
    assert time.perf_counter() - began < 0.5


def test_an_enormous_ignore_file_is_not_applied_and_named(tmp_path: Path, write: Write) -> None:
    write(tmp_path, {".ignore": b"*.py\n" + b"#" * MAX_BYTES, "a.py": ""})
    notice, entry = scan(tmp_path, Settings())
    assert (notice.path, entry.path) == (".ignore", "a.py")
    assert isinstance(notice, Skip)
    assert notice.why is Why.TOO_LARGE


@pytest.fixture(params=["repository", "plain folder", "repository without git"])
def world(request: pytest.FixtureRequest, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty root of each kind; what follows from ignore files in it is the same."""
    root = tmp_path / "root"
    root.mkdir()
    if request.param != "plain folder":
        git(root, "init")
    if request.param == "repository without git":
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return root


CODE = dict.fromkeys(
    ["a.py", "b.py", "src/a.py", "src/b.py", "src/deep/a.py", "target/a.py", "target/b.o", "x.log"], ""
)

TABLE: dict[str, tuple[dict[str, str | bytes], str]] = {
    "nothing ignored": ({}, "a.py b.py src/a.py src/b.py src/deep/a.py target/a.py x.log"),
    "a name anywhere": ({".gitignore": "a.py"}, "b.py src/b.py x.log"),
    "a name at the top": ({".gitignore": "/a.py"}, "b.py src/a.py src/b.py src/deep/a.py target/a.py x.log"),
    "the file below wins": ({".gitignore": "*.py", "src/.gitignore": "!a.py"}, "src/a.py src/deep/a.py x.log"),
    "an ignored folder is closed": ({".gitignore": "src/\n!src/a.py"}, "a.py b.py target/a.py x.log"),
    ".ignore also drops": ({".ignore": "*.py"}, "x.log"),
    ".ignore takes back a file": ({".gitignore": "*.py", ".ignore": "!/a.py"}, "a.py x.log"),
    ".ignore takes back a folder, whose other rules hold": (
        {".gitignore": "target/\nsrc/\nb.*", ".ignore": "!target/\n!/src", "target/b.py": "", "target/c/c.py": ""},
        "a.py src/a.py src/deep/a.py target/a.py target/c/c.py x.log",
    ),
    ".gitignore can not take back from .ignore": ({".ignore": "*.py", "src/.gitignore": "!a.py"}, "x.log"),
    ".codesearchignore has the last word, from above": (
        {".codesearchignore": "*.py\n!/src/a.py", "src/.ignore": "!b.py\na.py", ".gitignore": "src/a.py"},
        "src/a.py x.log",
    ),
    "a byte order mark and Windows lines": ({".gitignore": b"\xef\xbb\xbf*.py\r\n!b.py\r\n"}, "b.py src/b.py x.log"),
    "spaces and escapes": (
        {".gitignore": "a.py   \nsp\\ \n\\#c\n\\!d", "sp ": "", "#c": "", "!d": ""},
        "b.py src/b.py x.log",
    ),
    "a folder where all is ignored but one that is taken back": (
        {".gitignore": "*.log\n*.py", ".ignore": "!keep.log", "logs/keep.log": "", "logs/x.log": ""},
        "logs/keep.log",
    ),
    "a folder where all is ignored but what its own rules take back": (
        {".gitignore": "*.log\n*.py\n.ignore", "logs/.ignore": "!keep.log", "logs/keep.log": "", "logs/x.log": ""},
        "logs/keep.log",
    ),
    "hidden names": (
        {".github/ci.py": "", ".hidden.py": "", ".ignore": "!.github/", ".gitignore": "*.log\n!.hidden.py"},
        ".github/ci.py a.py b.py src/a.py src/b.py src/deep/a.py target/a.py",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_precedence(world: Path, write: Write, row: str) -> None:
    files, expected = TABLE[row]
    write(world, CODE | files)
    settings = Settings()
    found = {
        entry.path: entry for entry in scan(world, settings) if not isinstance(entry, Skip) or entry.why is not Why.GIT
    }
    indexed = [path for path, entry in found.items() if isinstance(entry, FileEntry)]
    assert indexed == sorted(expected.split())
    for path in CODE | files:
        told = explain(world, path, settings)
        assert isinstance(told, FileEntry) == (path in indexed), path
        if isinstance(told, Skip) and told.why is Why.IGNORED:
            assert ":" in told.detail, f"{path} is ignored, and the line that does it is not shown"


def test_the_line_that_decides_is_shown(world: Path, write: Write) -> None:
    write(world, {".gitignore": "# logs\n*.log\n", "src/x.log": "", "src/.ignore": "*.py", "src/a.py": ""})
    assert explain(world, "src/x.log", Settings()) == Skip("src/x.log", Why.IGNORED, ".gitignore:2: *.log")
    assert explain(world, "src/a.py", Settings()) == Skip("src/a.py", Why.IGNORED, "src/.ignore:1: *.py")


def test_all_can_be_disregarded_but_what_is_never_indexed(world: Path, write: Write) -> None:
    write(
        world,
        {".gitignore": "*", ".ignore": "*", "a.py": "", ".env": "", "prod.env": "", "x.min.js": "", ".git/x.py": ""},
    )
    (world / ".codesearch").mkdir()
    write(world, {".codesearch/a.py": "", "sub/.codesearch/a.py": "", "node_modules/m/a.js": ""})
    settings = Settings(hidden=True, no_ignore=True)
    assert listed(world, settings) == [".gitignore", ".ignore", "a.py", "node_modules/m/a.js"]


def test_a_subfolder_of_a_repository_lists_itself_by_the_rules_above(tmp_path: Path, git: Git, write: Write) -> None:
    root = write(tmp_path / "top", CODE | {".gitignore": "b.py\n/src/deep", ".ignore": "/src/c.py", "src/c.py": ""})
    git(root, "init")
    write(tmp_path, {".codesearchignore": "*.log\n/top/src/d.py"})
    write(root, {"src/d.py": "", "src/e.py": ""})
    assert listed(root / "src") == ["a.py", "e.py"]
    assert explain(root / "src", "b.py", Settings()) == Skip("b.py", Why.IGNORED, f"{root / '.gitignore'}:1: b.py")
    told = explain(root / "src", "c.py", Settings())
    assert told == Skip("c.py", Why.IGNORED, f"{root / '.ignore'}:1: /src/c.py")


def test_without_git_the_rules_above_and_the_excludes_are_read_all_the_same(
    tmp_path: Path, git: Git, write: Write, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "top", CODE | {".gitignore": "/src/a.py"})
    git(root, "init")
    write(root, {".git/info/exclude": "/src/deep\n", "src/c.swp": "", "src/c.py": ""})
    write(home, {".config/git/ignore": "*.swp\n"})
    with_git = listed(root / "src"), listed(root)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert with_git == (["b.py", "c.py"], ["a.py", "b.py", "src/b.py", "src/c.py", "target/a.py", "x.log"])
    assert (listed(root / "src"), listed(root)) == with_git
    notice = next(scan(root, Settings()))
    assert isinstance(notice, Skip)
    assert (notice.path, notice.why) == (".", Why.GIT)
    assert "install" in notice.detail


def test_global_excludes_are_the_persons_own(tmp_path: Path, git: Git, write: Write, home: Path) -> None:
    root = write(tmp_path / "root", CODE)
    git(root, "init")
    write(home, {"mine": "b.py\n", ".gitconfig": "[core]\n\texcludesFile = ~/mine\n"})
    write(root, {".ignore": "!target/", ".gitignore": "target/", "target/b.py": ""})
    assert listed(root) == ["a.py", "src/a.py", "src/deep/a.py", "target/a.py", "x.log"]
    assert explain(root, "b.py", Settings()) == Skip("b.py", Why.IGNORED, f"{home / 'mine'}:1: b.py")


def test_a_tracked_file_is_wanted_though_gitignore_names_it_and_not_when_ignore_does(
    tmp_path: Path, git: Git, write: Write
) -> None:
    root = write(tmp_path / "root", {"a.py": "", "b.py": "", "c.py": ""})
    git(root, "init")
    git(root, "add", ".")
    write(root, {".gitignore": "*.py", ".ignore": "b.py", "new.py": ""})
    assert listed(root) == ["a.py", "c.py"]


def test_a_root_that_its_repository_ignores_was_asked_for(tmp_path: Path, git: Git, write: Write) -> None:
    root = write(
        tmp_path / "top", {".gitignore": "build/", "build/a.py": "", "build/b.py": "", "build/.gitignore": "b.py"}
    )
    git(root, "init")
    assert listed(root) == []
    assert listed(root / "build") == ["a.py"]
