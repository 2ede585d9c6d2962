"""Answers for programs, printed: JSON in ASCII, so that no character in it steers a terminal; `shape` says of what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from codesearch import shape
from codesearch.cli.budget import fit

if TYPE_CHECKING:
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.types import Answer, Hit, Stale


def as_json(answer: Answer, gist: Gist | None = None, max_tokens: int | None = None) -> str:
    """Return ANSWER as one line of JSON, of at most MAX_TOKENS by leaving out text, then results."""
    answer, omitted = _fitting(answer, max_tokens)
    return json.dumps(shape.answer(answer, gist, omitted))


def as_jsonl(answer: Answer, max_tokens: int | None = None) -> Iterator[str]:
    """Yield a line of JSON a result, then one that says of what answer they are."""
    answer, omitted = _fitting(answer, max_tokens)
    for rank, hit in enumerate(answer.hits, 1):
        yield json.dumps({"type": "result"} | shape.hit(rank, hit))
    said = {"type": "summary"} | shape.head(answer) | {"results": len(answer.hits)}
    yield json.dumps(said | {"omitted": omitted} if omitted else said)


def related_json(subject: Hit, found: Mapping[Relation, Sequence[Hit]], state: Stale) -> str:
    """Return what belongs to SUBJECT as one line of JSON."""
    return json.dumps(shape.related(subject, found, state))


def _fitting(answer: Answer, most: int | None) -> tuple[Answer, int]:
    """Return ANSWER with what of it fits into MOST tokens, and how many results do not."""
    if most is None:
        return answer, 0
    left = most - len(json.dumps(shape.head(answer))) // 3
    hits = fit(answer.hits, left, lambda hit: json.dumps(shape.hit(1, hit)))
    return replace(answer, hits=tuple(hits)), len(answer.hits) - len(hits)
