"""Text that grammars take long over, or much memory, or die of: what is opened and never closed, by the megabyte.

No line is so long that the file would be taken for a minified one, and left alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from codesearch import apart

EXTENSIONS: Final = {
    "bash": "sh",
    "c": "c",
    "cpp": "cpp",
    "csharp": "cs",
    "elixir": "ex",
    "go": "go",
    "haskell": "hs",
    "java": "java",
    "javascript": "js",
    "kotlin": "kt",
    "lua": "lua",
    "markdown": "md",
    "php": "php",
    "python": "py",
    "ruby": "rb",
    "rust": "rs",
    "scala": "scala",
    "swift": "swift",
    "tsx": "tsx",
    "typescript": "ts",
    "zig": "zig",
}
UNITS: Final = {
    "parentheses": "(",
    "brackets": "[",
    "braces": "{",
    "angles": "a<",
    "ladder": "([{",
    "calls": "f(",
    "lambdas": "x => ",
    "arrows": "(a, ",
    "destructuring": "[{a: ",
    "objects": "({a = ",
    "casts": "(A)(B)",
    "backticks": "`",
    "quotes": '"',
    "apostrophes": "'",
    "interpolation": '"#{',
    "templates in text": '"${',
    "shell arithmetic": "$((",
    "shell expansion": "${",
    "raw strings": 'r#"',
    "C++ raw strings": 'R"x(',
    "heredocs": "<<A\n",
    "many heredocs": "<<~A <<-B ",
    "percent literals": "%q(",
    "sigils": "~s{",
    "regular expressions": "/[",
    "divisions": "a / b /",
    "comments": "/*",
    "nested comments": "{-",
    "long brackets": "--[[ ",
    "template parameters": "template<class T",
    "template arguments": "A<B<",
    "comparisons or templates": "a > b < ",
    "ambiguous calls": "f<a, b<c",
    "declarators": "A (*(*",
    "declarations or calls": "a b(c(d",
    "function pointers": "int (*f)(",
    "preprocessor": "#if X\n",
    "ternaries": "a ? b : ",
    "conditional types": "A extends B ? ",
    "types": "type A<",
    "tags": "<a>",
    "attributes of tags": "<a b={",
    "unary": "-",
    "operators": "a + ",
    "dots": "a.",
    "assignments": "a = ",
    "do": "do ",
    "let": "let x = ",
    "where": "where\n  ",
    "if": "if (x) ",
    "else": "if x then y else ",
    "case": "case x of\n ",
    "functions": "fn f() {",
    "definitions": "def f(x):\n",
    "classes": "class A {",
    "begin": "begin ",
    "guards": "| a = b\n",
    "signatures": "f :: a -> ",
    "keywords": "for while if ",
    "words": "a b ",
    "noise": "$ } ) ] @ # ",
    "continued lines": "a\\\n",
    "letters": "é",
}
LIGHT: Final = ("ladder", "calls")
"""Of those, what has done most harm."""


def text(unit: str, size: int, language: str = "") -> str:
    """Return SIZE characters of UNIT, in lines of some eighty."""
    said = UNITS[unit]
    line = said if "\n" in said else said * max(1, 80 // len(said)) + "\n"
    return ("<?php\n" if language == "php" else "") + (line * (size // len(line) + 1))[:size]


def stairs(size: int) -> str:
    """Return SIZE characters of lines each further in than the one before, as indentation and layout are counted."""
    lines, length = [], 0
    while length < size:
        lines.append(" " * (len(lines) % 900) + "if x:\n")
        length += len(lines[-1])
    return "".join(lines)[:size]


def work() -> float:
    """Return the seconds of work that this process has done, and that those have which it began; none stays."""
    apart.end()
    return sum(os.times()[:4])


CEILING: Final = 4 << 30
"""Bytes of addresses that one process may have, lest a fault in what is tested take the machine with it."""
_ALONE: Final = f"""
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, ({CEILING}, {CEILING}))
from codesearch import apart
from codesearch.chunk import chunk
from tests.hostile.grammars import text
language, unit, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
source = text(unit, size, language)
given_up = []
peak = lambda who: resource.getrusage(who).ru_maxrss // 1024
before = peak(resource.RUSAGE_SELF)
pieces = chunk("file", source, language, given_up=lambda: given_up.append(True))
assert "".join(piece.text for piece in pieces) == source
apart.end()
spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
seconds = sum(one.ru_utime + one.ru_stime for one in spent)
print(json.dumps([seconds, peak(resource.RUSAGE_SELF) - before, peak(resource.RUSAGE_CHILDREN), bool(given_up)]))
"""


@dataclass(frozen=True)
class Cost:
    """What cutting a text has cost."""

    seconds: float
    """Of work, all processes together, their start included."""
    here: int
    """Megabytes by which the process grew."""
    apart: int
    """Megabytes of the process that the text was parsed in."""
    given_up: bool


def cost(language: str, unit: str, size: int) -> Cost:
    """Cut SIZE characters of UNIT in a process that does nothing else; check that nothing is lost.

    Raises:
        subprocess.SubprocessError: the process died, or found no end in two minutes.
    """
    command = [sys.executable, "-c", _ALONE, language, unit, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return Cost(*json.loads(done.stdout))
