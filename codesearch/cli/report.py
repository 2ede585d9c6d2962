"""What `status` and `inspect` say, as lines for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from codesearch import shape
from codesearch.cli.visible import visible
from codesearch.types import Stale

if TYPE_CHECKING:
    from codesearch.adaptation import Adaptation
    from codesearch.eval.heldout import Proof
    from codesearch.workspace import Inspection, Status

_SAID: Final = {
    Stale.FRESH: "up to date",
    Stale.MISSING: "not indexed yet; `codesearch index` does it, and so does the first `codesearch ask`",
    Stale.FORMAT: "written by another version of codesearch; the next question builds it again",
    Stale.DAMAGED: "damaged; the next question builds it again",
    Stale.CHUNKER: "made by other rules for cutting code; the next question brings it up to date",
    Stale.MODEL: "made with another model; the next question brings it up to date",
    Stale.FILES: "files have changed since; the next question brings it up to date",
}


def status_lines(status: Status) -> Iterator[str]:
    """Yield what there is to say about an index."""
    yield f"root    {visible(str(status.root))}"
    yield f"index   {visible(str(status.folder))}"
    yield f"state   {status.state}: {_SAID[status.state]}"
    if status.fingerprint:
        skipped = f", {status.skipped:,} skipped" if status.skipped else ""
        yield f"files   {status.files:,}{skipped}"
        yield f"chunks  {status.chunks:,}"
        yield f"model   {visible(status.model)}, {status.fingerprint}"
        if status.adaptation:
            yield f"        {visible(_said_of(status.adaptation))}"
        yield f"disk    {_megabytes(status.bytes)}, and {_megabytes(status.model_bytes)} for the model"
        for language, files, chunks in status.languages:
            yield f"        {language:12} {files:>7,} files {chunks:>9,} chunks"


def _said_of(adaptation: Adaptation) -> str:
    which = "adapted to this folder" if adaptation.accepted else "not adapted"
    return f"{which} on {adaptation.date}: {adaptation.reason} ({adaptation.questions} questions)"


def adaptation_lines(adaptation: Adaptation) -> Iterator[str]:
    """Yield what came of a training."""
    yield visible(_said_of(adaptation))
    yield from _figures(adaptation.figures)
    if adaptation.signal:
        yield f"loss of the LM on unseen documents, nats a token: {visible(adaptation.signal)}"


def adaptation_json(adaptation: Adaptation) -> str:
    """Return the same as one object."""
    return json.dumps(shape.adaptation(adaptation), indent=1)


def proof_lines(proof: Proof) -> Iterator[str]:
    """Yield how a retriever did on held-out functions."""
    yield visible(f"{proof.verdict.questions} questions; {proof.verdict.reason}")
    yield from _figures(proof.figures)


def proof_json(proof: Proof) -> str:
    """Return the same as one object."""
    said = {"questions": proof.verdict.questions, "reason": proof.verdict.reason, "mrr": proof.figures}
    gain = proof.verdict.gain and asdict(proof.verdict.gain)
    return json.dumps({"version": shape.JSON_VERSION, **said, "helps": proof.verdict.accepted, "gain": gain}, indent=1)


def _figures(figures: dict[str, float]) -> Iterator[str]:
    for name, mrr in figures.items():
        yield f"  {name:23} MRR {mrr:.3f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def status_json(status: Status) -> str:
    """Return the same as one object."""
    return json.dumps(shape.status(status), indent=1)


def inspection_lines(inspection: Inspection) -> Iterator[str]:
    """Yield why a file is or is not indexed, and a line a chunk."""
    path = visible(inspection.path)
    if inspection.skip:
        yield f"{path}: not indexed: {visible(inspection.skip.reason)}"
        return
    yield f"{path}: {'indexed' if inspection.indexed else 'will be indexed by the next run'}"
    for chunk in inspection.chunks:
        part = f" (part {chunk.part + 1} of {chunk.parts})" if chunk.parts > 1 else ""
        lines = f"{chunk.span.start_line}-{chunk.span.end_line}"
        yield f"  {lines:>11}  {chunk.kind:8}  {visible(chunk.symbol)}{part}".rstrip()


def inspection_json(inspection: Inspection) -> str:
    """Return the same as one object."""
    return json.dumps(
        {
            "version": shape.JSON_VERSION,
            "path": inspection.path,
            "indexed": inspection.indexed,
            "skipped": inspection.skip.reason if inspection.skip else None,
            "chunks": [
                {
                    "start_line": chunk.span.start_line,
                    "end_line": chunk.span.end_line,
                    "language": chunk.language,
                    "kind": chunk.kind,
                    "symbol": chunk.symbol,
                    "part": chunk.part,
                    "parts": chunk.parts,
                }
                for chunk in inspection.chunks
            ],
        },
        indent=1,
    )
