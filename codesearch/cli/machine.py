"""Answers for programs: JSON of a documented, versioned shape, in ASCII, so that no character in it steers a terminal.

The shape is written down in codesearch/README.md, "JSON", and a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from codesearch.cli.budget import fit

if TYPE_CHECKING:
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.types import Answer, Hit, Stale

JSON_VERSION: Final = 1
"""Raised when a field changes its meaning or goes; new fields may come without."""


def as_json(answer: Answer, gist: Gist | None = None, max_tokens: int | None = None) -> str:
    """Return ANSWER as one line of JSON, of at most MAX_TOKENS by leaving out text, then results."""
    answer, omitted = _fitting(answer, max_tokens)
    said = _head(answer) | {"results": [_as_object(rank, hit) for rank, hit in enumerate(answer.hits, 1)]}
    if gist:
        said["answer"] = {
            "path": gist.hit.path,
            "line": gist.line,
            "symbol": gist.hit.symbol,
            "says": gist.says,
            "callers": [_place(hit) for hit in gist.callers],
            "tests": [_place(hit) for hit in gist.tests],
        }
    if omitted:
        said["omitted"] = omitted
    return json.dumps(said)


def as_jsonl(answer: Answer, max_tokens: int | None = None) -> Iterator[str]:
    """Yield a line of JSON a result, then one that says of what answer they are."""
    answer, omitted = _fitting(answer, max_tokens)
    for rank, hit in enumerate(answer.hits, 1):
        yield json.dumps({"type": "result"} | _as_object(rank, hit))
    said = {"type": "summary"} | _head(answer) | {"results": len(answer.hits)}
    yield json.dumps(said | {"omitted": omitted} if omitted else said)


def related_json(subject: Hit, found: Mapping[Relation, Sequence[Hit]], state: Stale) -> str:
    """Return what belongs to SUBJECT as one line of JSON."""
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


def _fitting(answer: Answer, most: int | None) -> tuple[Answer, int]:
    """Return ANSWER with what of it fits into MOST tokens, and how many results do not."""
    if most is None:
        return answer, 0
    left = most - len(json.dumps(_head(answer))) // 3
    hits = fit(answer.hits, left, lambda hit: json.dumps(_as_object(1, hit)))
    return replace(answer, hits=tuple(hits)), len(answer.hits) - len(hits)


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "query": answer.query,
        "state": answer.state,
        "indexed": round(answer.indexed, 4),
        "ms": round(answer.ms, 3),
        "confidence": round(answer.confidence, 4),
    }


def _place(hit: Hit) -> dict[str, Any]:
    return {"path": hit.path, "line": hit.span.start_line, "symbol": hit.symbol}


def _as_object(rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": round(hit.score, 6),
        "id": hit.id,
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
