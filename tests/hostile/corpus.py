"""A repository of a stranger's in which everything that can be nasty is so, each thing by name, made anew each time.

Each case writes its files into the root, and says what must come of them: found by a word that only it holds, or left
out for a reason. Beside it stands an ordinary file; it must be found whatever is around it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codesearch.why import Why
from tests.hostile.grammars import text as hard

OSC: Final = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[2J\x1b[31m\x9b31m\x08\x08\r"
"""Renames the window, writes to the clipboard, clears the screen, colours, goes back."""
BIDI: Final = "\u202e\u2066\u2069\u200f"
PRIVATE: Final = "zanzibar_launch_code"
"""A word that stands outside of the root only, and in secrets."""


@dataclass(frozen=True, slots=True)
class Case:
    """One nasty thing."""

    name: str
    write: Callable[[Path], object]
    found: str = ""
    """A question that its file, `path`, must answer first; empty where there is none."""
    path: str = ""
    skipped: Why | None = None
    """Why `path` is left out, as `inspect` says it."""
    warned: bool = False
    """Whether indexing warns of `path`."""


def file(path: str | bytes, content: str | bytes) -> Callable[[Path], object]:
    """Write one file."""

    def write(root: Path) -> None:
        place = os.path.join(os.fsencode(root), os.fsencode(path))  # noqa: PTH118 - names that are not UTF-8
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
        with open(place, "wb") as opened:  # noqa: PTH123
            opened.write(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))

    return write


def function(word: str, body: str = "return 1") -> str:
    return f'def {word}_of_stars():\n    """Do the {word} of the stars."""\n    {body}\n'


def code(name: str, word: str, content: str | bytes, path: str = "", **said: object) -> Case:
    """A file that is searched although it is strange: asked for WORD, it is found."""
    path = path or f"{word}.py"
    return Case(name, file(path, content), f"where is the {word} of the stars done", path, **said)  # type: ignore[arg-type]


def left_out(name: str, path: str, content: str | bytes, why: Why) -> Case:
    return Case(name, file(path, content), path=path, skipped=why)


def pipe(root: Path) -> None:
    os.mkfifo(root / "pipe.py")


def sock(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # the path of a socket has some hundred bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket.py")
    finally:
        os.chdir(here)


def link(name: str, target: str) -> Callable[[Path], object]:
    return lambda root: (root / name).symlink_to(target)


def hard_link(root: Path) -> None:
    (root / "first_name.py").write_text(function("hardlinking"))
    os.link(root / "first_name.py", root / "second_name.py")


def deep_folders(root: Path) -> None:
    folder = root / "/".join(["deep"] * 200)
    folder.mkdir(parents=True)
    (folder / "buried.py").write_text(function("burying"))


def tiny_files(root: Path, count: int = 600) -> None:
    """Write so many files of a line each, some hundred a folder."""
    for number in range(count):
        folder = root / "tiny" / str(number // 500)
        if number % 500 == 0:
            folder.mkdir(parents=True)
        (folder / f"t{number}.py").write_text(f"x{number} = {number}\n")


CASES: Final = (
    # Text.
    code(
        "brackets that are never closed", "unclosing", f"# unclosing of the stars\n{'([{' * 26}\n" * 4_000, warned=True
    ),
    code("nested a thousand deep", "nesting", function("nesting", "return " + "(\n" * 900 + "1" + ")\n" * 900)),
    code(
        "what takes the C grammar gigabytes",
        "calling",
        "/* calling of the stars */\n" + hard("calls", 300_000),
        "calling.c",
        warned=True,
    ),
    code(
        "what kills the Java grammar",
        "laddering",
        "// laddering of the stars\n" + hard("ladder", 450_000),
        "laddering.java",
        warned=True,
    ),
    code(
        "a quarter of a million headings",
        "heading",
        "# heading of the stars\n" + "# a\n" * 200_000,
        "heading.md",
        warned=True,
    ),
    code(
        "one line of half the file",
        "lengthening",
        function("lengthening") + "# " + "x" * 200_000 + "\n" + "y = 1\n" * 50_000,
    ),
    left_out("one line of a megabyte", "megabyte.py", "x = '" + "a" * 900_000 + "'\n", Why.MINIFIED),
    code("the same line ten thousand times", "repeating", function("repeating") + "x = x + 1  # again\n" * 10_000),
    code(
        "the same function two thousand times",
        "doubling",
        function("doubling") + "def f():\n    return 1\n\n\n" * 2_000,
    ),
    code("invalid UTF-8", "decoding", function("decoding").encode() + b"# \xff\xfe\xc0\x80 \xed\xa0\x80\n"),
    code("UTF-16", "widening", function("widening").encode("utf-16")),
    code("half a UTF-16", "halving", b"\xff\xfe" + function("halving").encode("utf-16-le")[:-1] + b"\n"),
    code("lone surrogates", "pairing", function("pairing", "return '\udc80\ud800'")),
    code("a mark of byte order", "marking", "\ufeff" + function("marking")),
    left_out("NULs", "nul.py", function("nulling") + "\0" * 100, Why.BINARY),
    code("a NUL far behind", "hiding", function("hiding") + "y = 1\n" * 2_000 + "\0"),
    code("escape sequences", "escaping", function("escaping", f"return '{OSC} escaping of the stars'")),
    code(
        "escape sequences in documentation",
        "documenting",
        f'def documenting_of_stars():\n    """Do the documenting of the stars {OSC}{BIDI}."""\n    return 1\n',
    ),
    code("escape sequences in a symbol", "naming", f"def naming_of_stars{OSC}(x):\n    return 'naming of the stars'\n"),
    code("bidirectional controls", "turning", function("turning", f"return '{BIDI} turning of the stars'")),
    code(
        "markup of the terminal's library",
        "colouring",
        function("colouring", "return '[bold red]x[/] [link=file:///etc/passwd]y[/link]'"),
    ),
    code("lines that end in carriage returns", "returning", function("returning").replace("\n", "\r")),
    code(
        "lines that end in every way",
        "ending",
        function("ending") + "a = 1\r\nb = 2\rc = 3\u2028d = 4\x0be = 5\x0cf = 6\x85\n",
    ),
    code(
        "a template of nowhere",
        "templating",
        function("templating", 'return "{{constructor.constructor(1)()}} ${jndi:ldap://x} %n%s"'),
    ),
    # Names.
    code("escape sequences in a name", "clearing", function("clearing"), f"clearing{OSC.replace('/', '')}{BIDI}.py"),
    code("a newline in a name that forges a result", "forging", function("forging"), "forging\nshop.py:1:rm -rf.py"),
    code("a tab in a name", "tabbing", function("tabbing"), "tab\tbing.py"),
    code("quotes in a name", "quoting", function("quoting"), "quo'ting\"`$(touch ran)`;&|.py"),
    code("a name that is an option", "dashing", function("dashing"), "--root=dashing.py"),
    code("a name that is a pattern", "globbing", function("globbing"), "globbing[*?!]{a,b}.py"),
    code("a name that is markup", "linking", function("linking"), "[link=file:x]linking[/].py"),
    code("a name of spaces and dots", "spacing", function("spacing"), " . /.. /spacing .py"),
    code("a backslash in a name", "slashing", function("slashing"), "..\\..\\slashing.py"),
    code("a percent in a name", "encoding", function("encoding"), "%2e%2e%2fencoding.py"),
    code("a name in two forms of Unicode", "composing", function("composing"), "compose\u0301-compos\u00e9.py"),
    code("a name of 250 letters", "stretching", function("stretching"), f"stretching{'g' * 235}.py"),
    Case("a name that is not UTF-8", file(b"bytes\xff\xfe.py", function("nonaming")), path="bytes\udcff\udcfe.py"),
    Case(
        "folders two hundred deep", deep_folders, "where is the burying of the stars done", f"{'deep/' * 200}buried.py"
    ),
    # What is no file, or not here.
    Case("a pipe", pipe, path="pipe.py", skipped=Why.SPECIAL),
    Case("a socket", sock, path="socket.py", skipped=Why.SPECIAL),
    Case("a link to a device", link("device.py", "/dev/zero"), path="device.py", skipped=Why.OUTSIDE),
    Case("a link out of the root", link("outside.py", "../private/launch.py"), path="outside.py", skipped=Why.OUTSIDE),
    Case("a link to a folder outside", link("outside", "../private"), path="outside/launch.py", skipped=Why.OUTSIDE),
    Case("a link to itself", link("loop.py", "loop.py"), path="loop.py", skipped=Why.BROKEN),
    Case("a link to the folder around it", link("around", "."), path="around", skipped=Why.LINK),
    Case("a link to the top", link("slash", "/"), path="slash", skipped=Why.OUTSIDE),
    Case("two names of one file", hard_link, "where is the hardlinking of the stars done", "first_name.py"),
    Case("hundreds of tiny files", tiny_files),
    # What must not be shown.
    left_out("a key by its name", "id_rsa", PRIVATE, Why.SECRET),
    left_out("variables of the environment", ".env", f"KEY={PRIVATE}\n", Why.SECRET),
    left_out("a key by its content", "key.txt", f"-----BEGIN PRIVATE KEY-----\n{'A' * 64}\n{PRIVATE}\n", Why.SECRET),
    left_out("credentials of the cloud", ".aws/credentials", PRIVATE, Why.SECRET),
    # What others would run.
    Case(
        "modules called as ours are",
        lambda root: [
            file(f"{name}.py", RUN)(root)
            for name in ("json", "lancedb", "numpy", "typer", "sitecustomize", "usercustomize", "conftest", "setup")
        ],
    ),
    Case(
        "packages called as ours are",
        lambda root: [
            file(f"{name}/__init__.py", RUN)(root) for name in ("codesearch", "multiprocessing", "tree_sitter_python")
        ],
    ),
    Case(
        "programs called as ours are",
        lambda root: [program(root / name) for name in ("git", "python", "python3", "sh", "less")],
    ),
    Case(
        "hooks of tools",
        lambda root: [
            program(root / name)
            for name in (".envrc", ".git-hooks/post-checkout", ".husky/pre-commit", ".vscode/run.sh")
        ],
    ),
    Case(
        "settings that reach out",
        file(
            ".codesearch.toml",
            "limit = 3\n"
            'model = "../../private"\n'
            'index-dir = "/etc"\n'
            'editor = "touch ran"\n'
            'hyperlink-format = "\\u001b[2J"\n'
            'hooks = ["touch ran"]\n'
            'root = ".."\n'
            'glob = "../**"\n',
        ),
    ),
    Case(
        "an ignore file that takes secrets back",
        file(".codesearchignore", "!id_rsa\n!.env\n!.git/\n!../private/\n!**\n"),
    ),
    Case(
        "an ignore file that is hard to match",
        file(".ignore", "*a*a*a*a*a*a*a*a*a*a*b\n[z-a]\n**/**/**/**/**/x\n" + "\\" * 999 + "\n"),
    ),
    Case("attributes of git's that run filters", file(".gitattributes", "* filter=evil diff=evil merge=evil\n")),
)

RUN: Final = "open('ran', 'w')\nimport os\nos.system('touch ran')\n"


def program(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text('#!/bin/sh\ntouch "$(dirname "$0")/ran" ran\n')
    place.chmod(0o755)


def write(folder: Path) -> Path:
    """Write the repository into FOLDER/root, with what is private beside it; return the root."""
    private = folder / "private"
    private.mkdir()
    (private / "launch.py").write_text(f"def {PRIVATE}():\n    return 1234\n")
    root = folder / "root"
    root.mkdir()
    (root / "innocent.py").write_text(function("innocence"))
    for case in CASES:
        case.write(root)
    return root
