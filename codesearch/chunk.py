"""Cuts one file into chunks: functions, class outlines, left-over code, sections; all of it, once, in order.

The way of a file: `syntax` divides its text into pieces and finds the definitions in it; definitions become runs of
pieces; what no definition holds becomes runs of its own or joins a neighbour; runs too long become parts. As every run
is a range of pieces and each begins where the one before ended, nothing can be lost or doubled, whatever the parser
says.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final

from codesearch.languages import LANGUAGES, TEXT, language_of
from codesearch.parsing import TIME_LIMIT
from codesearch.syntax import (
    CLOSER,
    COMMENT_LINES,
    PART_CHARS,
    PART_LINES,
    SLACK,
    Definition,
    Source,
    definitions,
    documentation,
    signature,
)
from codesearch.types import Chunk, Kind, Span

CHUNKER_VERSION: Final = 2
"""Raised when the same file would be cut or named otherwise; makes an index stale (reason CHUNKER).

1. Functions, class outlines, left-over code, Markdown sections, plain windows.
2. Macros in the place of specifiers (C, C++) and soft keywords that begin a statement (Kotlin) hide no function.
"""

_UNEVEN: Final = 1.5
"""A part longer than this, because lines differ in length, is cut again."""
_LONG: Final = 2.0
"""A function longer than so many parts gives its nested functions chunks of their own."""
_NESTED_LINES: Final = 5
"""Nested definitions shorter than this stay in the function around them even then."""
_TINY_CHARS: Final = 120
_TINY_LINES: Final = 3
"""Left-over code up to this size joins its neighbour: alone it would say nothing."""
_SHORT_LINES: Final = 3
"""A type alias or a property shorter than this is left-over code."""
_MOST: Final = 20_000
"""Definitions, sections and left-over code of one file; a megabyte of bare headings would be 250,000 chunks."""
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_NOTHING: Final = re.compile(r"\s*")


def decode(data: bytes) -> str:
    """Return the text of DATA: UTF-16 by its byte order mark, else UTF-8 (its mark stays in the text), else Latin-1."""
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def chunk(
    path: str,
    text: str,
    language: str | None = None,
    *,
    time_limit: float = TIME_LIMIT,
    given_up: Callable[[], None] | None = None,
) -> list[Chunk]:
    """Cut TEXT, the decoded content of the file at PATH, into chunks; joined in order, their texts are TEXT.

    LANGUAGE is found by `language_of` when not given. A file that does not parse within TIME_LIMIT seconds of work and
    the memory that `parsing` grants, or has far more definitions than anybody writes, is cut into plain windows of
    lines, and GIVEN_UP is called; with a TIME_LIMIT of 0 it is not parsed at all. One without definitions is cut so
    without a word. An empty file gives no chunks.
    """
    if not text:
        return []
    if language is None:
        language = language_of(path, text[:4096].encode("utf-8", "replace")) or TEXT
    source = Source(text)
    runs: list[_Run] = []
    too_much = False
    if language == "markdown":
        runs = _sections(source)
    else:
        known = LANGUAGES.get(language)
        file = definitions(source, known, time_limit)
        too_much = file.given_up
        _runs(source, file, runs)
        runs = _tidy(source, runs, known.comments if known else ())
    if len(runs) > _MOST:
        too_much = True
        high = len(source.starts)
        runs = [_Run(0, high, Definition("", "", 0, high), gap=True)]
    if too_much and given_up is not None:
        given_up()
    return _chunks(path, language, source, runs)


_FUNCTIONS: Final = frozenset({"function", "method", "accessor"})
_SHORT: Final = frozenset({"type", "accessor"})


@dataclass(slots=True)
class _Run:
    """A run of pieces that becomes one chunk, or the parts of one."""

    low: int
    high: int
    owner: Definition
    gap: bool
    """Left-over between definitions: it may join a neighbour."""
    last: bool = False
    """Nothing of its owner follows."""


def _runs(source: Source, definition: Definition, into: list[_Run]) -> None:
    """Append the runs of DEFINITION in order: its own lines, and those of the definitions inside it."""
    inner = definition.children
    if definition.what in _FUNCTIONS:
        if inner and source.size(definition.low, definition.high) > _LONG:
            inner = [child for child in inner if child.high - child.low >= _NESTED_LINES]
        else:
            inner = []
    cursor = definition.low
    outline = definition.what not in ("", "namespace", "extension")
    if definition.what == "module" and inner and inner[0].what not in _FUNCTIONS and not definition.leads:
        # `module Rack` around everything: its line alone says nothing, and is left to join what follows.
        outline = inner[0].low - definition.low > 1
    for child in inner:
        if not child.children and (
            child.what == "namespace" or (child.what in _SHORT and child.high - child.head < _SHORT_LINES)
        ):
            continue
        if child.low > cursor:
            into.append(_Run(cursor, child.low, definition, gap=not outline or cursor > definition.low))
        _runs(source, child, into)
        cursor = child.high
    if cursor < definition.high:
        into.append(_Run(cursor, definition.high, definition, gap=not outline or cursor > definition.low, last=True))


def _tidy(source: Source, runs: list[_Run], comments: tuple[str, ...]) -> list[_Run]:
    """Join left-over runs that would say nothing alone to their neighbours."""
    tidy: list[_Run] = []
    low = -1
    """Where a left-over run that joins the one after it starts."""
    for index, run in enumerate(runs):
        if low >= 0:
            run.low, low = low, -1
        if not run.gap or len(runs) == 1:
            tidy.append(run)
            continue
        text = source.between(run.low, run.high)
        follows = not run.last and index + 1 < len(runs)
        if CLOSER.fullmatch(text):
            to_previous, to_next = True, follows
        else:
            lines = [line for line in map(str.strip, text.splitlines()) if line] if len(text) < PART_CHARS else []
            tiny = 0 < len(lines) <= _TINY_LINES and sum(map(len, lines)) <= _TINY_CHARS
            # Code right below a definition speaks of it; otherwise it is taken for the next one's.
            touches = tiny and not _NOTHING.fullmatch(source.between(run.low, run.low + 1))
            touches = touches and bool(tidy) and not _NOTHING.fullmatch(source.between(run.low - 1, run.low))
            heading = 0 < len(lines) <= COMMENT_LINES and all(line.startswith(comments) for line in lines)
            to_previous = touches or ((tiny or heading) and not follows)
            to_next = (tiny or heading) and follows
        if to_previous and tidy:
            tidy[-1].high = run.high
        elif to_next:
            low = run.low
        else:
            tidy.append(run)
    return tidy


def _cuts(source: Source, low: int, high: int) -> list[int]:
    """Return the bounds of the parts of a run: balanced, and where the code itself makes a break."""
    size = source.size(low, high)
    if size <= SLACK:
        return [low, high]
    count = ceil(size)
    starts = source.starts
    begin = starts[low]
    end = starts[high] if high < len(starts) else len(source.text)
    by_lines = (high - low) / PART_LINES > (end - begin) / PART_CHARS
    reach = max(1, round((high - low if by_lines else end - begin) * 0.3 / count))
    cuts = [low]
    for k in range(1, count):
        if by_lines:
            ideal = low + (high - low) * k // count
            first, last = ideal - reach, ideal + reach
        else:
            place = begin + (end - begin) * k // count
            first, ideal, last = (bisect_left(starts, place + shift, low, high) for shift in (-reach, 0, reach))
        first = max(first, cuts[-1] + 1)
        last = min(max(first, last), high - 1)
        if first > last:
            break
        spread = max(1, last - first)
        cuts.append(min(range(first, last + 1), key=lambda at: _badness(source, at) + 4 * abs(at - ideal) / spread))
    cuts.append(high)
    if max(source.size(*part) for part in pairwise(cuts)) > _UNEVEN and len(cuts) > 2:
        return [low, *(cut for part in pairwise(cuts) for cut in _cuts(source, *part)[1:])]
    return cuts


_CLOSES: Final = re.compile(r"[)\]}]|end\b|else\b|elif\b|elsif\b|catch\b|except\b|finally\b|rescue\b|fi\b|done\b")


def _badness(source: Source, piece: int) -> float:
    """Return how bad a place before this piece is for a cut: deep in a block, or where one closes."""
    line = source.between(piece, piece + 1)
    bare = line.lstrip()
    if not bare:
        return 6.0
    indent = min(len(line.expandtabs(4)) - len(bare), 32) / 4 if line[0] in " \t" else 0.0
    blank_above = not source.between(piece - 1, piece).strip()
    return indent - (3.0 if blank_above else 0.0) + (2.0 if _CLOSES.match(bare) else 0.0)


def _chunks(path: str, language: str, source: Source, runs: list[_Run]) -> list[Chunk]:
    """Return the chunks of RUNS, long ones in parts."""
    cut = [(run.owner, low, high) for run in runs for low, high in pairwise(_cuts(source, run.low, run.high))]
    parts: dict[int, int] = {}
    for owner, _, _ in cut:
        parts[id(owner)] = parts.get(id(owner), 0) + 1
    seen: dict[int, int] = {}
    signatures: dict[int, str] = {}
    chunks = []
    for owner, low, high in cut:
        key = id(owner)
        kind = owner.kind
        part = seen.get(key, 0)
        seen[key] = part + 1
        if not part:
            signatures[key] = signature(source, owner)
        left_over = kind is Kind.MODULE
        chunks.append(
            Chunk(
                path=path,
                language=language,
                kind=kind,
                symbol="" if left_over else owner.name,
                signature="" if left_over else signatures[key],
                doc="" if part or (left_over and low) else documentation(source, owner, language),
                text=source.between(low, high),
                span=Span(source.line(low), source.line(high - 1)),
                part=0 if left_over else part,
                parts=1 if left_over else parts[key],
            )
        )
    return chunks


_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+([^#\s].*?)(?:[ \t]+#+)?[ \t]*\r?\n?$")
_UNDERLINE: Final = re.compile(r" {0,3}(?:(=+)|-+)[ \t]*\r?\n?$")
_PARAGRAPH: Final = re.compile(r" {0,3}(?![#>|]|[-+*]\s|\d+[.)]\s|<|```|~~~)\S")
_FENCE: Final = re.compile(r"[ \t]*(?:[-*+]\s+|\d+[.)]\s+|>\s*)*(`{3,}|~{3,})([^`\n]*)")
_LINK: Final = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_MARKUP: Final = re.compile(r"<[^>]*>|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")


def _sections(source: Source) -> list[_Run]:
    """Return one run a heading of a Markdown text, with the text up to the next heading.

    Read line by line rather than by tree-sitter-markdown: only headings outside of fences, comments and front matter
    are wanted, the time is linear by construction, and no scanner in C sees hostile text.
    """
    headings: list[tuple[int, int, str]] = []
    fence = ""
    comment = False
    matter = source.between(0, 1).rstrip() == "---"
    above = ""
    for piece in range(len(source.starts)):
        line = source.between(piece, piece + 1)
        before, above = above, line
        if matter:
            matter = piece == 0 or line.rstrip() not in ("---", "...")
            above = ""
        elif comment:
            comment = "-->" not in line
        elif fence:
            closing = line.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                fence = ""
        elif match := _FENCE.match(line):
            fence = match[1]
        elif match := _HEADING.match(line):
            headings.append((piece, len(match[1]), match[2]))
            above = ""
        elif (match := _UNDERLINE.match(line)) and _PARAGRAPH.match(before):
            if piece < 2 or not _PARAGRAPH.match(source.between(piece - 2, piece - 1)):
                headings.append((piece - 1, 1 if match[1] else 2, before.strip()))
            above = ""
        elif "<!--" in line:
            comment = "-->" not in line.rpartition("<!--")[2]
    return _heading_runs(source, headings)


def _heading_runs(source: Source, headings: list[tuple[int, int, str]]) -> list[_Run]:
    """Return the runs that HEADINGS (piece, level, title) begin; a heading without text joins the one below it."""
    high = len(source.starts)
    runs: list[_Run] = []
    path: list[tuple[int, str]] = []
    low = 0
    if not headings or headings[0][0] > 0:
        preamble = Definition("section", "", 0, headings[0][0] if headings else high)
        runs.append(_Run(preamble.low, preamble.high, preamble, gap=False))
        low = preamble.high
    for (piece, level, title), (after, deeper, _) in pairwise((*headings, (high, 0, ""))):
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, _MARKUP.sub("", _LINK.sub(r"\1", title)).strip()))
        below = source.text.find("\n", source.starts[piece]) + 1
        end = source.starts[after] if after < high else len(source.text)
        if deeper > level and not source.text[below:end].strip("=- \t\r\n"):
            continue
        section = Definition("section", " > ".join(text for _, text in path if text), low, after)
        runs.append(_Run(low, after, section, gap=False))
        low = after
    return runs
