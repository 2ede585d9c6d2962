"""Answers as people and programs read them: a page on a terminal, `path:line:text` in a pipe, JSON on request.

All three write to standard output and nothing but results; what is not a result goes to standard error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.syntax import Syntax
from rich.text import Text

from codesearch.cli.visible import visible, visible_line
from codesearch.snippet import Snippet, snippet

if TYPE_CHECKING:
    from rich.console import Console

    from codesearch.related import Relation
    from codesearch.types import Answer, Hit, Stale

JSON_VERSION: Final = 1
"""Raised when a field changes its meaning or goes; new fields may come without.

1. version, query, state, ms, confidence, results: rank, score, path, start_line, end_line, language, kind, symbol,
   text, copies (places, path:line), and reasons: name and worth of each part of the score, in the order in which they
   are added.
"""

_HEIGHT: Final = 6
"""Lines of a snippet: what shows a definition and its first step, and lets three results stand on 80 x 24."""
_COLORED: Final = "\x1b[35m{}\x1b[36m:\x1b[32m{}\x1b[36m:\x1b[m{}"
"""Path, line, text in grep's colours."""
_TAB: Final = 4
"""Columns a tab takes on a terminal."""


def as_json(answer: Answer) -> str:
    """Return ANSWER as one line of JSON, in ASCII: no character in it can steer a terminal."""
    return json.dumps(
        {
            "version": JSON_VERSION,
            "query": answer.query,
            "state": answer.state,
            "ms": round(answer.ms, 3),
            "confidence": round(answer.confidence, 4),
            "results": [_as_object(rank, hit) for rank, hit in enumerate(answer.hits, 1)],
        }
    )


def related_json(subject: Hit, found: Mapping[Relation, Sequence[Hit]], state: Stale) -> str:
    """Return what belongs to SUBJECT as one line of JSON; see `as_json`."""
    return json.dumps(
        {
            "version": JSON_VERSION,
            "state": state,
            "path": subject.path,
            "start_line": subject.span.start_line,
            "end_line": subject.span.end_line,
            "symbol": subject.symbol,
            "related": [
                {"relation": relation} | _as_object(rank, hit)
                for relation, hits in found.items()
                for rank, hit in enumerate(hits, 1)
            ],
        }
    )


def _as_object(rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": round(hit.score, 6),
        "path": hit.path,
        "start_line": hit.span.start_line,
        "end_line": hit.span.end_line,
        "language": hit.language,
        "kind": hit.kind,
        "symbol": hit.symbol,
        "text": hit.text,
        "copies": list(hit.copies),
        "reasons": [{"name": name, "worth": round(worth, 6)} for name, worth in hit.reasons],
    }


def print_lines(hits: Iterable[Hit], query: str, console: Console) -> None:
    """Print a line a hit, `path:line:text`, as grep does: of its snippet the line with most of the QUERY's words.

    Not by way of the console, which would wrap lines and expand tabs; it only tells whether there are colours.
    """
    form = "{}:{}:{}" if console.color_system is None else _COLORED
    for hit in hits:
        shown = _snippet(hit, hit.text, query)
        marks = Counter(mark.line for mark in shown.marks)
        line = max(marks, key=lambda line: (marks[line], -line), default=shown.start_line)
        text = visible_line(shown.lines[line - shown.start_line]) if shown.lines else ""
        print(form.format(visible(hit.path), line, text))


def print_explanations(answer: Answer) -> None:
    """Print for each hit the sum that its score is: each part's worth, its name, and why it is worth anything."""
    from codesearch.rank import reason

    for rank, hit in enumerate(answer.hits, 1):
        print(f"{rank}. {visible(hit.path)}:{hit.span.start_line}  {visible(hit.symbol)}".rstrip())
        for name, worth in sorted(hit.reasons, key=lambda part: -abs(part[1])):
            print(f"   {worth:+7.2f}  {name:22} {reason(name)}")
        print(f"   {hit.score:7.2f}  in all\n")


def print_page(answer: Answer, console: Console) -> None:
    """Print a page of hits, each with its place, its name and a highlighted snippet."""
    for hit in answer.hits:
        place = f"{visible(hit.path)}:{hit.span.start_line}-{hit.span.end_line}"
        title = Text.assemble((place, "bold magenta"), "  ", (visible(hit.symbol), "bold"), (f"  {hit.kind}", "dim"))
        console.print(title)
        console.print(_highlighted(hit, answer.query))
        if hit.copies:
            console.print(Text(f"nearly the same: {', '.join(map(visible, hit.copies))}", "dim"))
        console.print()


def nothing(answer: Answer) -> str:
    """Return what is said where there is no hit."""
    said = "nothing here seems to answer that"
    if answer.confidence <= 0:
        return said
    return f"{said} (confidence {answer.confidence:.2f}; --min-score 0 shows what is nearest)"


def footer(answer: Answer) -> str:
    """Return the line below a page: how much was found, how fast, and in what state the index was."""
    count = len(answer.hits)
    found = f"{count} result{'s' if count > 1 else ''}"
    return f"{found} in {answer.ms:.0f} ms, index {answer.state}"


def _snippet(hit: Hit, text: str, query: str) -> Snippet:
    return snippet(text, hit.span.start_line, query, _HEIGHT)


def _highlighted(hit: Hit, query: str) -> Syntax:
    # Made visible before it is cut, so that the columns of the marks are those on the screen.
    text = "\n".join(visible_line(line).expandtabs(_TAB) for line in hit.text.split("\n"))
    shown = _snippet(hit, text, query)
    code = Syntax(
        "\n".join(shown.lines),
        hit.language,
        theme="ansi_dark",
        background_color="default",
        line_numbers=True,
        start_line=shown.start_line,
    )
    for mark in shown.marks:
        line = mark.line - shown.start_line + 1
        code.stylize_range("bold underline", (line, mark.start), (line, mark.end))
    return code
