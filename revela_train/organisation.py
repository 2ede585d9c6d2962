"""One retriever for many repositories: learnt from all of them, proved on functions of all of them, one bundle.

    sources ─ checkouts in one folder ─ hold_out ─▶ material ─ adapt ─ export ─▶ candidate ─ prove ─▶ bundle, or none

A folder of checkouts is a folder, each part by its own rules, so what is learnt and asked, and the gate, are those of
every adaptation (`workspace.py`): questions of all repositories are asked of one index of all, and the adapted
retriever has to find more of the answers, beyond chance, through the ranking that users get. What passes is for a new
store: `codesearch fleet index --model BUNDLE`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codesearch import git
from codesearch.bundle import Bundle, load
from codesearch.errors import GitError, UsageError
from codesearch.eval.heldout import Proof, hold_out, prove
from codesearch.eval.proof import FEWEST
from codesearch.events import Adapting, Event, Warned
from codesearch.fleet.failures import short
from codesearch.fleet.sources import Source
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from revela_train.backbone import Backbone
from revela_train.config import AdaptConfig
from revela_train.workspace import attempt

_FETCHED: Final = 8
"""Repositories that are fetched at a time: what takes long is the network."""
_TIMEOUT: Final = 600.0


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of a training."""

    proof: Proof
    bundle: Bundle | None
    """None where it did not prove that it helps."""
    repositories: int
    seconds: float


def train(
    sources: Sequence[Source], config: AdaptConfig | Backbone, out: Path, work: Path
) -> Generator[Event, None, Learnt]:
    """Train on SOURCES, whose checkouts are kept in WORK, and write the bundle to OUT if it passes the gate.

    Raises:
        UsageError: OUT is there already, or none of SOURCES can be read.
        TooLittleError: there is too little to learn from, or to ask.
    """
    began = time.monotonic()
    if out.exists():
        raise UsageError(f"{out} is there already: name a new folder for the bundle.")
    root = work / "code"
    yield Adapting(f"fetching {len(sources)} repositories")
    failed = checkouts(sources, root)
    for name, reason in failed.items():
        yield Warned(f"{name} is left out: {reason}")
    if len(failed) == len(sources):
        raise UsageError("none of the repositories can be read.")
    yield Adapting("reading what there is to learn from")
    base, settings = load(base_bundle()), Settings()
    held = hold_out(root, work / "copy", settings)
    if len(held.test) < FEWEST:
        raise UsageError(
            f"only {len(held.test)} functions or commits can be asked about; {FEWEST} are needed to prove a gain. "
            "Name more repositories."
        )
    tried = yield from attempt(held, root, base, config, work / "adapted")
    yield Adapting("proving")
    proof = prove(held, base, tried.bundle, work / "indexes", settings)
    made = None
    if proof.verdict.accepted:
        tried.bundle.folder.rename(out)
        made = load(out)
    return Learnt(proof, made, len(sources) - len(failed), time.monotonic() - began)


def checkouts(sources: Sequence[Source], root: Path) -> dict[str, str]:
    """Check SOURCES, repositories of git, out below ROOT, each under its name; return why some could not be.

    A checkout is there whole or not at all, and then stays: a later run takes it as it is.
    """

    def fetch(source: Source) -> tuple[str, str]:
        folder, partial = root / source.name, root.with_name(f"{root.name}.partial") / source.name
        if (folder / ".git").exists():
            return source.name, ""
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir(parents=True)
        try:
            git.checkout(source.url, source.revision, partial, _TIMEOUT)
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial.rename(folder)
        except (GitError, OSError) as error:
            return source.name, short(str(error))
        return source.name, ""

    with ThreadPoolExecutor(_FETCHED) as pool:
        return {name: reason for name, reason in pool.map(fetch, sources) if reason}
