"""A workspace gets its own retriever: read, train, prove, and only then switch.

    hold_out ─▶ copy ─ material ─ adapt ─ export ─▶ candidate ─ prove ─▶ accepted: kept, and the index built with it
                                                                     └▶ not: the base stays, and why is recorded

The index answers all the while. Stopping at any point leaves what was there; what is half done was in a folder of its
own, which goes: at once, or, where the process was killed, when the next training begins (`adaptation.working`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from codesearch import adaptation, generations, git
from codesearch.adaptation import Adaptation
from codesearch.bundle import TOKENIZER, Bundle
from codesearch.errors import GitError
from codesearch.eval.heldout import HeldOut, hold_out, prove
from codesearch.eval.proof import FEWEST, Verdict, judge
from codesearch.events import Adapting, Event, Warned
from codesearch.text import bag, document, heading
from codesearch.workspace import Workspace
from revela_train import export, lm
from revela_train.adapt import from_bundle
from revela_train.adaptation import Adapted, Development, TooLittleError, adapt, development
from revela_train.backbone import Backbone
from revela_train.backbone import attempt as of_backbone
from revela_train.config import AdaptConfig, Objective
from revela_train.distributed import world
from revela_train.documents import Material, material
from revela_train.exam import answered
from revela_train.shown import of_material

_NICE: Final = 10
"""Added to the process's niceness: whoever works on the machine comes first."""
_COMPARED: Final = 64
"""Texts that the exported model is compared with the trained one on."""


def frequencies() -> Tensor:
    """Return how often each piece of the base's vocabulary occurred in its pretraining, (V,)."""
    return load_file(Path(__file__).parent / "models" / "frequencies.safetensors")["counts"].float()


def train(workspace: Workspace, config: AdaptConfig | Backbone) -> Generator[Event, None, Adaptation]:
    """Adapt the base, or a transformer, to WORKSPACE, whose index is up to date; let it answer if it proves to help.

    Yields what happens, and returns what came of it, which is recorded.

    Raises:
        IndexBusyError: another process is training for this workspace.
    """
    generations.prepare(workspace.layout)
    with generations.training(workspace.layout):
        with suppress(OSError, AttributeError):
            os.nice(_NICE)
        with adaptation.working(workspace.layout) as folder:
            said, made = yield from _train(workspace, config, folder)
            adaptation.keep(workspace.layout, said, made)
        yield from workspace.index()  # with what counts now, which may be the base again
        adaptation.tidy(workspace.layout)
    return said


def _train(
    workspace: Workspace, config: AdaptConfig | Backbone, folder: Path
) -> Generator[Event, None, tuple[Adaptation, Path | None]]:
    began, base, settings = time.monotonic(), workspace.base, workspace.settings
    yield Adapting("reading what there is to learn from")
    held = hold_out(workspace.root, folder / "copy", settings)

    def said(verdict: Verdict, **more: Any) -> Adaptation:
        return Adaptation(
            accepted=verdict.accepted,
            reason=verdict.reason,
            base=base.fingerprint,
            questions=verdict.questions,
            low=round(verdict.gain.low, 4) if verdict.gain else None,
            high=round(verdict.gain.high, 4) if verdict.gain else None,
            seconds=round(time.monotonic() - began, 1),
            date=datetime.now(UTC).date().isoformat(),
            seen=adaptation.files(workspace.layout),
            **more,
        )

    if len(held.test) < FEWEST:  # whatever was learnt, it could not be proved
        return said(judge([0.0] * len(held.test), [0.0] * len(held.test))), None
    try:
        tried = yield from attempt(held, workspace.root, base, config, folder / "adapted")
    except TooLittleError as error:
        return said(Verdict(False, str(error), len(held.test))), None
    heard = tried.adapted.heard
    if heard is not None and not heard.signal:
        yield Warned(f"the LM found no signal in how documents are weighed ({heard}).")
    yield Adapting("proving")
    proof = prove(held, base, tried.bundle, folder / "indexes", settings)
    accepted = proof.verdict.accepted
    return (
        said(
            proof.verdict,
            fingerprint=tried.bundle.fingerprint if accepted else "",
            figures={name: round(value, 4) for name, value in proof.figures.items()},
            steps=tried.adapted.steps,
            signal=str(heard or ""),
        ),
        tried.bundle.folder if accepted else None,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A retriever that has been trained, and has to prove itself yet."""

    adapted: Adapted
    bundle: Bundle


def attempt(
    held: HeldOut, root: Path, base: Bundle, config: AdaptConfig | Backbone, out: Path
) -> Generator[Event, None, Attempt]:
    """Adapt BASE, or a transformer in its place, to what HELD, a copy of ROOT, holds; export it to OUT.

    Its development questions say when to stop; those of the test are not looked at.
    """
    if isinstance(config, Backbone):
        said = {"base": base.fingerprint, "commit": _commit(root), "machine": _machine()}
        with world() as alone:
            return Attempt(*(yield from of_backbone(held, config, out, said, alone)))
    tokenizer = Tokenizer.from_file(str(base.folder / TOKENIZER))
    embedded = None if config.objective is Objective.PAIRS else lm.load(lm.shipped())
    offered = material(held.chunks, tokenizer, embedded.tokenizer if embedded else None, held.commits)
    questions, texts = development_of(held, tokenizer)
    yield Adapting("training")
    shown = of_material(offered, config)
    adapted = yield from adapt(from_bundle(base), frequencies(), shown, embedded, questions, config)
    said = provenance(base, config, adapted) | _of_folder(root, offered)
    name = f"{base.description.name}, adapted"
    retriever = adapted.retriever
    assert retriever is not None, "a static one"
    yield Adapting("exporting")
    made = export.export(retriever, tokenizer, out, name=name, texts=texts, provenance=said, adapted=True)
    return Attempt(adapted, made)


def development_of(held: HeldOut, tokenizer: Tokenizer) -> tuple[Development, list[str]]:
    """Return the development questions over the copy's chunks, and some of those as texts."""
    chunks = held.chunks
    texts = [bag(document(chunk)) for chunk in chunks]

    def pieces(said: list[str]) -> list[Any]:
        return [np.array(encoding.ids, np.int64) for encoding in tokenizer.encode_batch_fast(said)]

    asked = pieces([bag(one.sentence) for one in held.development])
    step = max(1, len(texts) // _COMPARED)
    headings = pieces([bag(heading(chunk)) for chunk in chunks])
    right = answered(held.development, chunks)
    return development(asked, pieces(texts), headings, right), texts[::step][:_COMPARED]


def provenance(base: Bundle, config: AdaptConfig, adapted: Adapted) -> dict[str, Any]:
    """Return what a bundle says of how it was ADAPTED from BASE by CONFIG."""
    return {
        "base": base.fingerprint,
        "objective": config.objective,
        "config": asdict(config),
        "steps": adapted.steps,
        "seed": config.seed,
        "development_mrr": [round(adapted.before, 4), round(adapted.after, 4)],
        "revela_share": round(float(np.mean(adapted.shares)), 4) if adapted.shares else None,
        "held_out_losses": asdict(adapted.heard) if adapted.heard else None,
        "machine": _machine(),
    }


def _of_folder(root: Path, offered: Material) -> dict[str, Any]:
    return {
        "commit": _commit(root),
        "chunks": len(offered.pieces.repository),
        "documented": offered.documented,
        "commit_messages": offered.committed,
        "links": len(offered.links),
    }


def _commit(root: Path) -> str:
    try:
        return git.run(root, "rev-parse", "HEAD").decode("ascii", "replace").strip()
    except GitError:
        return ""


def _machine() -> str:
    return f"{torch.get_num_threads()} threads, torch {torch.__version__}"
