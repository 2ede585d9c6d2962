"""What a person sees of chunks: whole files, in order, at their definitions, whatever the bytes and in bounded time."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesearch import parsing, syntax
from codesearch.chunk import chunk, decode
from codesearch.languages import LANGUAGES, language_of
from codesearch.types import Chunk, Kind
from tests.hostile.grammars import work

GOLDENS = Path(__file__).parent / "goldens"
SOURCES = sorted(path for path in GOLDENS.glob("*/*") if path.suffix != ".chunks")
PARSED = sorted({*LANGUAGES, "markdown", "text"})
EXAMPLES = {path.parent.name: decode(path.read_bytes()) for path in SOURCES}

PIECES = [
    *"{}()[]<>\"'`;:,.#@*/\\-=|&$ \t\0",
    *("\n", "\r\n", "\r", "\ufeff", "\u2028", "é", "🙂", "/*", "*/", "//", "--", '"""', "<<EOF\n", "#if X\n", "end\n"),
    *("def f", "class A", "fn f() {", "func ", "template <", "=> {", "where\n", "```\n", "# T\n", "---\n", "<?php "),
]
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=60).map("".join),
)


def check(text: str, chunks: list[Chunk]) -> None:
    """Assert what holds of the chunks of any text."""
    assert "".join(piece.text for piece in chunks) == text
    ends = list(accumulate(len(piece.text) for piece in chunks))
    for piece, start, end in zip(chunks, [0, *ends], ends, strict=False):
        assert piece.text
        assert piece.span.start_line == 1 + text.count("\n", 0, start)
        assert piece.span.end_line == 1 + text.count("\n", 0, end - 1)
        assert 0 <= piece.part < piece.parts
        assert "\n" not in piece.signature and "\n" not in piece.symbol


@pytest.mark.parametrize("language", PARSED)
@settings(max_examples=40, deadline=None, database=None)
@given(text=texts)
def test_chunks_cover_any_text_exactly_once_in_order(language: str, text: str) -> None:
    check(text, chunk("file", text, language))


@pytest.mark.parametrize("language", sorted(EXAMPLES))
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.data_too_large])
@given(data=st.data())
def test_chunks_cover_damaged_sources(language: str, data: st.DataObject) -> None:
    text = EXAMPLES[language]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 300)))
        repeat = data.draw(st.sampled_from([0, 0, 1, 2, 30]))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[start:end] * repeat + text[end:]
    if data.draw(st.booleans()):
        text = text.replace("\n", data.draw(st.sampled_from(["\r\n", "\r"])))
    check(text, chunk("file", text, language))


def listing(chunks: list[Chunk]) -> str:
    """Write chunks down for people to read: lines, kind, part, symbol, signature, first line of documentation."""
    lines = []
    for piece in chunks:
        part = f" {piece.part + 1}/{piece.parts}" if piece.parts > 1 else ""
        lines.append(f"{piece.span.start_line}-{piece.span.end_line} {piece.kind}{part} {piece.symbol}".rstrip())
        lines.extend([f"    {piece.signature}"] if piece.signature else [])
        lines.extend([f'    "{piece.doc.splitlines()[0]}"'] if piece.doc else [])
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
def test_golden(path: Path) -> None:
    """Each language is cut as its golden says; UPDATE_GOLDENS=1 rewrites them, to be read before they are committed."""
    text = decode(path.read_bytes())
    language = language_of(path.name, path.read_bytes())
    chunks = chunk(path.name, text)
    check(text, chunks)
    assert {piece.language for piece in chunks} == {language}
    golden = path.with_name(path.name + ".chunks")
    if os.environ.get("UPDATE_GOLDENS"):
        golden.write_text(listing(chunks), encoding="utf-8")
    assert listing(chunks) == golden.read_text(encoding="utf-8")


def test_every_language_has_a_golden() -> None:
    assert {path.parent.name for path in SOURCES} == set(PARSED)


def test_line_endings_do_not_move_cuts() -> None:
    """A file with CRLF has the chunks it has with LF, at the same lines."""
    for language, text in EXAMPLES.items():
        unix = chunk("file", text, language)
        dos = chunk("file", text.replace("\n", "\r\n"), language)
        assert [(c.symbol, c.kind, c.span) for c in dos] == [(c.symbol, c.kind, c.span) for c in unix], language


def test_a_byte_order_mark_hides_nothing() -> None:
    data = b"\xef\xbb\xbfdef first():\n    return 1\n"
    chunks = chunk("bom.py", decode(data))
    assert [(c.symbol, c.text.encode()) for c in chunks] == [("first", data)]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xe9 = 1\n", "café = 1\n"),
        ("é = '🙂'\n".encode(), "é = '🙂'\n"),
        ("x = 'é'\n".encode("utf-16"), "x = 'é'\n"),
        (b"\xff\xfe\x00", "ÿþ\0"),
        (b"", ""),
    ],
    ids=["latin-1", "utf-8", "utf-16", "broken utf-16", "empty"],
)
def test_bytes_become_text(data: bytes, text: str) -> None:
    assert decode(data) == text
    check(text, chunk("file.py", text))


def test_non_ascii_text_keeps_names_and_lines_right() -> None:
    """Offsets of the parser are bytes, ours are characters."""
    text = "# 🙂🙂🙂 é\n\n\n\n\nNAME = 'ß'\nOTHER = 1\nMORE = 2\n\n\n# größer\ndef größe(ä):\n    return 'ü'\n"
    found = chunk("file.py", text)[-1]
    assert (found.symbol, found.signature, found.doc, found.span.start_line) == ("größe", "def größe(ä)", "größer", 11)


@pytest.mark.parametrize(
    ("language", "text", "symbols"),
    [
        ("c", "TEST(ring_wraps) {\n  return 0;\n}\n", ["ring_wraps"]),
        ("cpp", "LIB_INLINE log::level get_level() {\n  return level;\n}\n", ["get_level"]),
        ("cpp", "int Store::read() LOCKS_EXCLUDED(mutex_) {\n  return 1;\n}\n", ["Store.read"]),
        (
            "kotlin",
            "fun copy() {\n  val in1 = open()\n  in1.close()\n}\n\nfun next() {\n  val a = b\n  get {\n  }\n}\n",
            ["copy", "next"],
        ),
        ("javascript", "module.exports = function parse(text) {\n  return text;\n};\n", ["parse"]),
        ("kotlin", "class A {\n  fun f() {\n    lock {\n      open = true\n    }\n  }\n}\n", ["A", "A.f"]),
    ],
)
def test_what_grammars_misread_hides_no_function(language: str, text: str, symbols: list[str]) -> None:
    """Macros for specifiers, soft keywords that begin a statement, a name only on the inner side of an assignment."""
    assert [c.symbol for c in chunk("file", text, language)] == symbols


def test_an_empty_file_has_no_chunks() -> None:
    assert chunk("empty.py", "") == []


def test_a_long_function_becomes_balanced_parts_of_one_symbol() -> None:
    body = "".join(f"    step_{n}(argument, another_argument)\n" + "\n" * (n % 5 == 0) for n in range(200))
    chunks = chunk("long.py", f'def long(argument):\n    """Does much."""\n{body}')
    assert {(c.symbol, c.signature, c.parts) for c in chunks} == {("long", "def long(argument)", len(chunks))}
    assert [c.part for c in chunks] == list(range(len(chunks)))
    assert [c.doc for c in chunks] == ["Does much."] + [""] * (len(chunks) - 1)
    assert all(1000 < len(c.text) < 2600 for c in chunks)
    assert all(c.text.endswith("\n\n") for c in chunks[:-1]), "parts end where the code has a break"


def test_nested_functions_leave_only_very_long_functions() -> None:
    inner = "    def inner():\n" + "        work()\n" * 10
    short = chunk("file.py", f"def outer():\n{inner}    return inner\n")
    assert [c.symbol for c in short] == ["outer"]
    long = chunk("file.py", "def outer():\n" + "    work(1)\n" * 150 + inner + "    return inner\n" * 10)
    assert ("outer.inner", Kind.FUNCTION) in {(c.symbol, c.kind) for c in long}


def test_a_line_of_a_megabyte_is_cut_within_the_line() -> None:
    text = "x = [" + "1, " * 300_000 + "]\nend\n"
    for language in ("python", "java", "c", "markdown", "text"):
        started = work()
        chunks = chunk("file", text, language, time_limit=1.0)
        assert work() - started < 10, language
        check(text, chunks)
        assert max(len(c.text) for c in chunks) < 3000
        assert chunks[0].span.end_line == 1


@pytest.mark.parametrize(
    "unit", ["(", "{", "[", "a<", "`", "f(", "/*", "if x {\n", "- "], ids=lambda unit: unit.strip() or "space"
)
def test_hostile_repetition_ends(unit: str) -> None:
    """Deep nesting and unclosed brackets, in every language, end soon after the time limit."""
    text = unit * (60_000 // len(unit))
    started = work()
    for language in PARSED:
        source = "<?php " + text if language == "php" else text
        check(source, chunk("file", source, language, time_limit=0.2))
    assert work() - started < len(PARSED)


def test_a_file_that_takes_too_long_to_parse_is_cut_into_windows() -> None:
    text = EXAMPLES["python"] * 20
    for too_little in (1e-6, 0.0):
        chunks = chunk("slow.py", text, time_limit=too_little)
        check(text, chunks)
        assert {c.kind for c in chunks} == {Kind.MODULE}
    assert {c.symbol for c in chunk("slow.py", text)} > {"Backoff.delays"}, "the parser is fit for the next file"


def test_a_busy_machine_cuts_a_file_as_a_free_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        """A parser that other work keeps from the processor for longer than the time limit."""

        def __init__(self, parser: Any) -> None:
            self.parser = parser

        def parse(self, *args: Any, **more: Any) -> Any:
            time.sleep(1.5)
            return self.parser.parse(*args, **more)

        def reset(self) -> None:
            self.parser.reset()

    for little in ("_LITTLE", "_LONG"):
        monkeypatch.setattr(parsing, little, 10**9)  # all is parsed in this process
    text, loaded = EXAMPLES["python"] * 20, syntax.grammar
    expected = chunk("busy.py", text, time_limit=1.0)
    monkeypatch.setattr(syntax, "grammar", lambda name: replace(loaded(name), parser=Interrupted(loaded(name).parser)))
    assert chunk("busy.py", text, time_limit=1.0) == expected
    assert {c.symbol for c in expected} > {"Backoff.delays"}


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("src/a.py", b"", "python"),
        ("a.tsx", b"", "tsx"),
        ("bin/run", b"#!/usr/bin/env -S python3 -u\n", "python"),
        ("bin/run", b"#!/bin/sh\n", "bash"),
        ("bin/run", b"no shebang", None),
        ("Dockerfile", b"", "dockerfile"),
        ("Dockerfile.dev", b"", "dockerfile"),
        ("GNUmakefile", b"", "make"),
        ("CMakeLists.txt", b"", "cmake"),
        ("Gemfile", b"", "ruby"),
        ("a.h", b"#include <stdio.h>\nint f(void);\n", "c"),
        ("a.h", b"#pragma once\nnamespace a {\n", "cpp"),
        ("a.h", b"// class of errors, using several words\nint f(void);\n", "c"),
        ("a.h", b"@interface A : B\n", "objective-c"),
        ("README", b"", "text"),
        ("a.yaml", b"", "yaml"),
        ("a.unknown", b"", None),
    ],
)
def test_the_language_of_a_path(path: str, head: bytes, language: str | None) -> None:
    assert language_of(path, head) == language


def test_an_unknown_language_is_cut_into_plain_windows() -> None:
    text = "\n\n".join(f"paragraph {n}\n" + "words and more words\n" * 10 for n in range(30))
    chunks = chunk("notes.unknown", text)
    check(text, chunks)
    assert {(c.language, c.kind, c.symbol) for c in chunks} == {("text", Kind.MODULE, "")}
    assert len(chunks) > 3 and all(c.text.startswith("paragraph") for c in chunks)


def test_queries_hold_no_predicates() -> None:
    """They read freed memory in trees that were parsed through a callback."""
    import codesearch.languages

    for path in (Path(codesearch.languages.__file__).parent / "queries").glob("*.scm"):
        assert "(#" not in path.read_text(encoding="utf-8"), path.name
