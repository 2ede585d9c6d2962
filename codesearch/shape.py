"""Answers for programs, as plain objects of a documented, versioned shape: what `--json` prints and servers send.

The shape is written down in codesearch/README.md, "JSON", and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from codesearch.adaptation import Adaptation
    from codesearch.events import Done
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.types import Answer, Hit, Stale
    from codesearch.workspace import Status

JSON_VERSION: Final = 1
"""Raised when a field changes its meaning or goes; new fields may come without."""

Object = dict[str, Any]


def answer(found: Answer, gist: Gist | None = None, omitted: int = 0) -> Object:
    """Return what FOUND says, with what is known of its best hit, and how many results were left out."""
    said = head(found) | {"results": [hit(rank, one) for rank, one in enumerate(found.hits, 1)]}
    if gist:
        said["answer"] = {
            **_of(gist.hit),
            "path": gist.hit.path,
            "line": gist.line,
            "symbol": gist.hit.symbol,
            "says": gist.says,
            "callers": [_place(one) for one in gist.callers],
            "tests": [_place(one) for one in gist.tests],
        }
    if omitted:
        said["omitted"] = omitted
    return said


def head(found: Answer) -> Object:
    """Return what FOUND says of itself, without its results."""
    return {
        "version": JSON_VERSION,
        "query": found.query,
        "state": str(found.state),
        "indexed": round(found.indexed, 4),
        "ms": round(found.ms, 3),
        "confidence": round(found.confidence, 4),
    }


def hit(rank: int, one: Hit) -> Object:
    """Return one result."""
    return {
        "rank": rank,
        "score": round(one.score, 6),
        "id": one.id,
        **_of(one),
        "path": one.path,
        "start_line": one.span.start_line,
        "end_line": one.span.end_line,
        "language": one.language,
        "kind": str(one.kind),
        "symbol": one.symbol,
        "text": one.text,
        "copies": list(one.copies),
        "reasons": [{"name": name, "worth": round(worth, 6)} for name, worth in one.reasons],
    }


def _of(one: Hit) -> Object:
    """Return of which repository ONE is, in an index of many."""
    return {"repository": one.repository, "commit": one.commit} if one.repository else {}


def explanation(found: Answer) -> Object:
    """Return what FOUND says, with the sum that each result's score is in place of its text."""
    results = []
    for one in found.hits:
        where = {"path": one.path, "start_line": one.span.start_line, "symbol": one.symbol}
        results.append({**_of(one), **where, "score": round(one.score, 6), "parts": parts(one)})
    return head(found) | {"results": results}


def parts(one: Hit) -> list[Object]:
    """Return the sum that the score of a result is: the worth of each part, its name, and why it is worth anything."""
    from codesearch.rank import reason

    return [
        {"name": name, "worth": round(worth, 6), "why": reason(name)}
        for name, worth in sorted(one.reasons, key=lambda part: -abs(part[1]))
    ]


def related(subject: Hit, found: Mapping[Relation, Sequence[Hit]], state: Stale) -> Object:
    """Return what belongs to SUBJECT."""
    return {
        "version": JSON_VERSION,
        "state": str(state),
        **_of(subject),
        "path": subject.path,
        "start_line": subject.span.start_line,
        "end_line": subject.span.end_line,
        "symbol": subject.symbol,
        "related": [
            {"relation": str(relation)} | hit(rank, one)
            for relation, hits in found.items()
            for rank, one in enumerate(hits, 1)
        ],
    }


def status(said: Status) -> Object:
    """Return what is there."""
    return {
        "version": JSON_VERSION,
        "root": str(said.root),
        "index": str(said.folder),
        "state": str(said.state),
        "files": said.files,
        "chunks": said.chunks,
        "skipped": said.skipped,
        "model": {"name": said.model, "fingerprint": said.fingerprint, "bytes": said.model_bytes},
        "adaptation": said.adaptation and facts(said.adaptation),
        "bytes": said.bytes,
        "languages": {name: {"files": files, "chunks": chunks} for name, files, chunks in said.languages},
    }


def adaptation(said: Adaptation) -> Object:
    """Return what came of a training."""
    return {"version": JSON_VERSION, **facts(said)}


def facts(said: Adaptation) -> Object:
    """Return the same, as a part of something else."""
    return {name: value for name, value in asdict(said).items() if name not in ("seen", "format")}


def done(said: Done) -> Object:
    """Return what indexing did, and what the index holds now."""
    return {"version": JSON_VERSION, **asdict(said), "seconds": round(said.seconds, 3)}


def _place(one: Hit) -> Object:
    return {"path": one.path, "line": one.span.start_line, "symbol": one.symbol}
