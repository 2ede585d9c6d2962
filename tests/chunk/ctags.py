"""Compares the functions that Universal Ctags finds with ours; a command, not a test.

    python tests/chunk/ctags.py REPOSITORIES TABLE.json [--language NAME] [--misses]

REPOSITORIES is a folder of checkouts. TABLE is a list of objects with `name` (a folder in it), `github` and `revision`
(what it holds), `language` (ours) and optionally `root` (a folder in it, measured alone). `CTAGS.md` says
how to lay them out, and what came of it.

A function or method that ctags finds, with a body, is *found* when one of our chunks has its name at the end of its
symbol and covers the tag's line. Tags that are no function of their own are counted apart, by reason:

    nested      inside another function, whose chunk holds it (ctags gives its scope, or our chunk is that function's)
    prototype   no body: it belongs to the outline
    false       no function at all: what this version of ctags takes for one (`FALSE`)

For languages ctags does not read (Swift, Scala, Zig) and those its version reads badly, an expression for the words
that start a definition stands in (`REGEX`).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codesearch.chunk import chunk, decode
from codesearch.languages import language_of
from codesearch.types import Chunk, Kind

CTAGS: Final = {
    "bash": ("Sh", {"function"}),
    "c": ("C", {"function"}),
    "cpp": ("C++", {"function"}),
    "csharp": ("C#", {"method"}),
    "elixir": ("Elixir", {"function", "macro", "guard", "delegate", "test"}),
    "go": ("Go", {"func"}),
    "haskell": ("Haskell", {"function"}),
    "java": ("Java", {"method"}),
    "javascript": ("JavaScript", {"function", "method", "generator", "getter", "setter"}),
    "kotlin": ("Kotlin", {"method"}),
    "lua": ("Lua", {"function"}),
    "php": ("PHP", {"function"}),
    "python": ("Python", {"function", "member"}),
    "ruby": ("Ruby", {"method", "singletonMethod"}),
    "rust": ("Rust", {"function", "method"}),
    "tsx": ("TypeScript", {"function", "method", "generator"}),
    "typescript": ("TypeScript", {"function", "method", "generator"}),
}
"""Ctags' name of each language, and the kinds that are functions."""

REGEX: Final = {
    "scala": re.compile(
        r"^[ \t]*(?:@\w+(?:\([^)]*\))?\s+|[a-z]+(?:\[\w+\])?\s+)*?\bdef\s+(?P<name>\w+|`[^`]+`|[^\w\s\[(]+)",
        re.MULTILINE,
    ),
    "swift": re.compile(
        r"^[ \t]*(?:@\w+(?:\([^)]*\))?\s+|[a-z]+(?:\(\w+\))?\s+)*?"
        r"\b(?:func\s+(?P<name>[^\s(<]+)|(?P<init>init)[?!]?\s*[(<])",
        re.MULTILINE,
    ),
    "zig": re.compile(r"^[ \t]*(?:pub\s+|export\s+|inline\s+|noinline\s+)*fn\s+(?P<name>\w+)", re.MULTILINE),
}
QUOTED: Final = {
    "elixir": re.compile(r'\btest\s+"((?:[^"\\]|\\.)*)"'),
    "kotlin": re.compile(r"\bfun\b[^`\n]*`([^`\n]+)`"),
}
"""Names with blanks, which this version of ctags cuts short or takes from freed memory; the line has them whole."""
FALSE: Final = {
    "csharp": r".*\b(?:class|struct|record)\s+NAME\b",
    "haskell": r"(?:class|default|\$?\(?derive\w*|deriving|infix[lr]?|instance|foreign|pattern)\b"
    r"|.*[{,]\s*NAME\s*(?:,[\w\s,']*)?::"
    r"|\s+NAME\s+::",
    "java": r"\s*[A-Z][A-Z_0-9]*\s*(?:\(.*\)\s*)?\{|.*\brecord\s+NAME\b|\s*\w+\[\]\s+NAME\(\)\s+default\b",
    "lua": r".*\bNAME\s*=\s*(?!function\b)|.*[\"']function NAME\b",
}
"""Lines of tags that are no functions: types with primary constructors (C#); words of the language, splices and fields
of records (Haskell); constants of enumerations, records and elements of annotations (Java); strings that say
"function", and what a call makes of a function (Lua)."""
BODY: Final = {"c", "cpp", "csharp", "java", "kotlin", "php", "rust", "scala", "swift", "tsx", "typescript", "zig"}
"""Languages in which a function may have no body: the first of `{`, `=` and `;` behind its parameters tells."""
ANONYMOUS: Final = re.compile(r"<|Anonymous(?:Function|Method)[0-9a-f]|__anon|anonymous")
"""What ctags calls functions without a name."""
FUNCTIONS: Final = {Kind.FUNCTION, Kind.METHOD}
FUNCTION_SCOPES: Final = {"function", "func", "method", "member", "generator", "getter", "setter"}


@dataclass(frozen=True, slots=True)
class Tag:
    """One definition that is not ours."""

    name: str
    line: int
    scope: str
    """Kind of the definition around it, where known."""


def tags_of(path: Path, language: str, text: str) -> Iterator[Tag]:
    """Yield the functions another tool finds in the file at PATH."""
    if expression := REGEX.get(language):
        for match in expression.finditer(text):
            name = match["name"] or match["init"]
            yield Tag(name, text.count("\n", 0, match.end()) + 1, "")
        return
    their_name, kinds = CTAGS[language]
    command = [
        "ctags",
        "--options=NONE",
        f"--language-force={their_name}",
        "--output-format=json",
        "--fields=+nKZ",
        "-o",
        "-",
    ]
    out = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True, errors="replace").stdout
    lines = text.split("\n")
    for line in out.splitlines():
        tag = json.loads(line)
        if quoted := language in QUOTED and QUOTED[language].search(lines[tag["line"] - 1]):
            tag["name"] = quoted[1]
        if tag.get("kind") in kinds and not ANONYMOUS.match(tag.get("name", "<")):
            yield Tag(tag["name"], tag["line"], tag.get("scopeKind", ""))


def has_body(text: str, lines: list[int], tag: Tag) -> bool:
    """Return whether the function at TAG has a body, going by the text behind its name."""
    start = text.find(tag.name, lines[tag.line - 1])
    if start < 0:
        return True
    depth = 0
    for match in re.finditer(
        r"[(\[{)\]};=\n]|//[^\n]*|/\*.*?\*/", text[start + len(tag.name) : start + 4000], re.DOTALL
    ):
        mark = match[0]
        if mark in "([":
            depth += 1
        elif mark in ")]":
            depth -= 1
            if depth < 0:
                return False
        elif depth == 0 and mark in "{=":
            return True
        elif depth == 0 and mark in ";}":
            return False
        elif depth == 0 and mark == "\n":
            rest = text[start + len(tag.name) + match.end() :].lstrip()
            if not re.match(r"[{=:>-]|where\b|throws\b|async\b|const\b|noexcept\b|->|\(", rest):
                return False
    return True


def last_part(symbol: str) -> str:
    """Return the unqualified name of SYMBOL; operators may hold dots themselves."""
    return symbol.rpartition(".")[2] or symbol


def named(chunk_: Chunk, tag: Tag) -> bool:
    """Return whether a chunk stands for the definition at TAG."""
    theirs = re.sub(r"\s+", "", tag.name)
    if theirs[0].isidentifier():
        theirs = theirs.replace(":", ".")
    theirs = theirs.strip(theirs[0]) if theirs[0] in "`'\"" else theirs
    symbol = re.sub(r"\s+", "", chunk_.symbol)
    if chunk_.language == "lua":  # ["key"] = function
        theirs = re.sub(r"^\[([\"']?)(.*)\1\]$", r"\2", theirs)
    elif chunk_.language == "csharp":
        theirs = theirs.removeprefix("operator")
    elif chunk_.language == "javascript":  # ctags leaves the mark of private methods out
        symbol = symbol.replace("#", "")
    elif chunk_.language == "c" and chunk_.signature.startswith(f"{tag.name}({chunk_.symbol}"):
        return True  # TEST(wraps) { ... }: ours is called by the argument
    return symbol == theirs or symbol.endswith("." + theirs) or last_part(symbol) == last_part(theirs)


def indent(text: str, start: int) -> int:
    """Return how far the line at START is indented, in columns."""
    line = text[start : start + 400].partition("\n")[0].expandtabs(4)
    return len(line) - len(line.lstrip())


def own_indent(chunks: list[Chunk], part: Chunk) -> int:
    """Return how far the definition whose PART is given is indented, by the line that names it."""
    whole = "".join(c.text for c in chunks if c.symbol == part.symbol and c.kind == part.kind)
    named_at = re.search(rf"^.*{re.escape(last_part(part.symbol))}", whole, re.MULTILINE)
    return indent(whole, named_at.start()) if named_at else 0


def judge(chunks: list[Chunk], text: str, lines: list[int], tag: Tag, language: str) -> str:
    """Return `found`, `missed`, or why TAG does not count."""
    covering = [c for c in chunks if c.span.start_line <= tag.line <= c.span.end_line]
    if any(named(c, tag) and c.kind in FUNCTIONS for c in covering):
        return "found"
    if tag.scope in FUNCTION_SCOPES:
        return "nested"
    line = text[lines[tag.line - 1] :].partition("\n")[0]
    if language in FALSE and re.match(FALSE[language].replace("NAME", re.escape(tag.name)), line):
        return "false"
    if language == "elixir" and text.count('"""', 0, lines[tag.line - 1]) % 2:  # an example in documentation
        return "false"
    if language in BODY and not has_body(text, lines, tag):
        return "prototype"
    if any(c.kind in FUNCTIONS and indent(text, lines[tag.line - 1]) > own_indent(chunks, c) for c in covering):
        return "nested"
    return "missed"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repositories", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--language")
    parser.add_argument("--misses", action="store_true")
    arguments = parser.parse_args()
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    misses: list[str] = []
    for row in json.loads(arguments.table.read_text()):
        if arguments.language not in (None, row["language"]):
            continue
        folder = arguments.repositories / row["name"]
        repository = f"{row['github']}@{row['revision'][:12]}"
        for path in sorted((folder / row.get("root", "")).rglob("*")):
            if not path.is_file() or path.is_symlink() or ".git" in path.relative_to(folder).parts:
                continue
            data = path.read_bytes()
            language = language_of(path.name, data[:4096])
            if language is None or language != row["language"]:
                continue
            text = decode(data)
            chunks = chunk(path.name, text, language)
            lines = [0, *(match.end() for match in re.finditer("\n", text))]
            for tag in tags_of(path, language, text):
                verdict = judge(chunks, text, lines, tag, language)
                counts[language, repository][verdict] += 1
                if verdict == "missed":
                    misses.append(f"{path.relative_to(arguments.repositories)}:{tag.line}: {tag.name}")
    print("| language | repository | by | counted | found | % | nested | prototype | false |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for (language, repository), count in sorted(counts.items()):
        total = count["found"] + count["missed"]
        by = "expression" if language in REGEX else "ctags"
        share = f"{100 * count['found'] / total:.1f}" if total else ""
        apart = " | ".join(str(count[reason]) for reason in ("nested", "prototype", "false"))
        print(f"| {language} | {repository} | {by} | {total} | {count['found']} | {share} | {apart} |")
    if arguments.misses:
        print(*misses, sep="\n")
    sys.exit(0)


if __name__ == "__main__":
    main()
