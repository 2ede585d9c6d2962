"""One retriever for many repositories: learnt from the store that holds them, proved on functions of theirs.

    store ─ files of a sample, restored ─ hold_out ─▶ questions ────┬───────────────────┐
      └──── Ray: pairs and groups of each, less what is asked ─▶ draws ─ adapt ─▶ candidate ─ prove ─▶ bundle, or none

Nobody needs a checkout: a store has the code. Where the processes are one machine's or many, `torchrun` says, as for
`finetune`; the first of them reads, draws by Ray, exports and proves, and all take their part of every step. Draws and
checkpoints are kept at one place, a folder or on object storage, so that other machines can go on from there.

The gate is that of every adaptation (`workspace.py`), over one index of the whole sample. What passes is for a new
store: `codesearch fleet index --model BUNDLE`. It has learnt from all that whoever trains was given to see.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tokenizers import Tokenizer

from codesearch.bundle import TOKENIZER, Bundle, load
from codesearch.errors import UsageError
from codesearch.eval.heldout import HeldOut, Proof, hold_out, prove
from codesearch.eval.proof import FEWEST
from codesearch.events import Adapting, Event, Warned
from codesearch.fleet.access import Wanted
from codesearch.fleet.drive import cluster
from codesearch.fleet.failures import storing
from codesearch.fleet.schema import Entry
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from revela_train import draws, export, lm, stored
from revela_train.adapt import from_bundle
from revela_train.adaptation import adapt
from revela_train.checkpoint import Kept
from revela_train.config import AdaptConfig, Objective
from revela_train.distributed import World
from revela_train.workspace import development_of, frequencies, provenance

_SAMPLE: Final = 50_000
"""Chunks at most of the repositories that are asked about: two indexes of so many take a minute."""
_GONE: Final = "no longer exists"
"""What lancedb says of a version that was cleaned up."""
_SETTINGS: Final = Settings(hidden=True, no_ignore=True)
"""For restored files: all of them were chosen by the rules of their repository."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of a training."""

    proof: Proof
    bundle: Bundle | None
    """None where it did not prove that it helps."""
    repositories: int
    """That were learnt from."""
    seconds: float


def train(
    uri: str, owners: Sequence[str], config: AdaptConfig, out: Path, work: str, us: World
) -> Generator[Event, None, Learnt | None]:
    """Train on what the store at URI has of OWNERS, or on all, and write the bundle to OUT if it passes the gate.

    Draws and checkpoints are kept at WORK; a run by the same CONFIG goes on from there. Only the first process returns
    what came of it.

    Raises:
        UsageError: OUT is there already, WORK is another run's, or there is too little to ask.
        TooLittleError: there is too little to learn from.
        StorageError: the store can not be read, or there is no Ray cluster.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="revela-train-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        held: HeldOut | None = None
        entries: Sequence[Entry] = ()
        if us.first:
            if out.exists():
                raise UsageError(f"{out} is there already: name a new folder for the bundle.")
            held, entries = yield from _prepared(uri, owners, config, work, folder)
        us.wait()
        base = load(base_bundle())
        tokenizer = Tokenizer.from_file(str(base.folder / TOKENIZER))
        embedded = None if config.objective is Objective.PAIRS else lm.load(lm.shipped())
        questions, texts = development_of(held, tokenizer) if held else (None, [])
        yield Adapting("training")
        with storing(work):
            shown = draws.shown(work, config, us)
        kept = Kept(folder / "checkpoint", work)
        adapted = yield from adapt(from_bundle(base), frequencies(), shown, embedded, questions, config, us, kept)
        if held is None:
            return None
        yield Adapting("exporting")
        assert adapted.retriever is not None, "a static one"
        said = provenance(base, config, adapted) | {
            "repositories": len(entries),
            "chunks": shown.chunks,
            "processes": us.size,
        }
        name = f"{base.description.name}, adapted"
        made = export.export(
            adapted.retriever, tokenizer, folder / "adapted", name=name, texts=texts, provenance=said, adapted=True
        )
        yield Adapting("proving")
        proof = prove(held, base, made, folder / "indexes", _SETTINGS)
        bundle = None
        if proof.verdict.accepted:
            shutil.copytree(made.folder, out)
            bundle = load(out)
        return Learnt(proof, bundle, len(entries), time.monotonic() - began)


def _prepared(
    uri: str, owners: Sequence[str], config: AdaptConfig, work: str, folder: Path
) -> Generator[Event, None, tuple[HeldOut, Sequence[Entry]]]:
    """Hold questions out, have everything drawn at WORK unless it is, and return both what is asked and of whom."""
    yield Adapting("reading the store")
    with cluster():
        # Ray forks, which Lance does not bear once it is loaded.
        from codesearch.fleet.store import FleetStore

        run: dict[str, Any] = {"store": uri, "owners": sorted(owners), "config": asdict(config)}
        with storing(work):
            before = draws.said(work)
        if before is not None and before | run != before:
            raise UsageError(f"{work} holds another run: name another place for this one, or remove it.")
        with storing(uri):
            try:
                store = FleetStore.open(uri, before["version"] if before else None)
            except ValueError as error:
                if _GONE not in str(error):
                    raise
                raise _changed(uri, work) from error
            entries = _of(store.entries()[0], owners)
            for entry in sample(entries):
                for path in stored.restore(store, entry.repository, folder / "code"):
                    yield Warned(f"{entry.repository}: {path} can not be written here, and is left out.")
        held = hold_out(folder / "code", folder / "copy", _SETTINGS)
        if len(held.test) < FEWEST:
            raise UsageError(
                f"only {len(held.test)} functions can be asked about; {FEWEST} are needed to prove a gain. "
                "Index more repositories, or name more owners."
            )
        unsaid = stored.Unsaid.of((*held.development, *held.test))
        if before is None:
            yield Adapting(f"drawing from {len(entries):,} repositories")
            run |= {"version": store.version, "unsaid": unsaid.digest, "chunks": sum(one.chunks for one in entries)}
            wanted = draws.quotas(entries, config)
            with storing(work):
                left_out = draws.draw(uri, store.version, wanted, config, unsaid, work, run)
            yield from (Warned(f"{name} is left out: {reason}.") for name, reason in left_out.items())
        elif before["unsaid"] != unsaid.digest:  # another codesearch may ask about something else
            raise _changed(uri, work)
    return held, entries


def _changed(uri: str, work: str) -> UsageError:
    return UsageError(f"{uri} no longer is what {work} was drawn from: name another place for a new run, or remove it.")


def _of(entries: Sequence[Entry], owners: Sequence[str]) -> list[Entry]:
    """Return those of ENTRIES that OWNERS have, or all, that have anything to learn from."""
    names = Wanted(owners=tuple(owners)).named(entries)
    return [entry for entry in entries if entry.chunks and (names is None or entry.repository in names)]


def sample(entries: Sequence[Entry]) -> list[Entry]:
    """Return the repositories of ENTRIES that are asked about: by lot, those that fit in, and one at least."""
    found: list[Entry] = []
    for entry in sorted(entries, key=_lot):
        if not found or sum(one.chunks for one in found) + entry.chunks <= _SAMPLE:
            found.append(entry)
    return found


def _lot(entry: Entry) -> bytes:
    return blake2b(entry.repository.encode(), digest_size=8).digest()
