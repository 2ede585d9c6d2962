"""The retriever that a workspace has adapted: where it is kept, what it has proved, and whether it still counts.

    <index folder>/adaptation.json    what came of the last training: accepted or not, why, and what it had seen
    <index folder>/model-<digest>/    the Bundle, if it was accepted
    <index folder>/work-<random>/     what a training is working with, while it does

The first two stand beside the generations, because they outlive them: an index that is built again, after a new
version or by request, is built with the retriever that has proved itself. It counts as long as the base that it grew
from is the package's: with another base the vectors of both could not be told apart from better ones.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from codesearch import bundle, generations
from codesearch.bundle import Bundle
from codesearch.errors import BundleError
from codesearch.manifest import Manifest
from codesearch.paths import Layout

FORMAT: Final = 1
"""Of adaptation.json; one that is unknown counts as none."""

FEWEST: Final = 200
"""Chunks below which a folder is too small to learn from: everything in it is found anyway."""
CHANGED: Final = 0.2
"""Share of the files that must have changed before training is worth another try."""

_MODEL: Final = "model-"
_WORK: Final = "work-"
_SHORT: Final = 8
"""Hexadecimal digits of a file's digest that are kept: it is only asked how many are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What came of the last training."""

    accepted: bool
    reason: str
    """In one sentence, for people."""
    base: str
    """Fingerprint of the bundle that it started from."""
    fingerprint: str = ""
    """Of the adapted bundle; empty where none was accepted."""
    questions: int = 0
    """Held-out questions that it was tested with."""
    figures: dict[str, float] = field(default_factory=dict)
    """Mean reciprocal ranks on them: of BM25, and of base and adapted, each alone and ranked."""
    low: float | None = None
    high: float | None = None
    """Ends of the 90 % interval of the gain, through the ranking."""
    steps: int = 0
    seconds: float = 0.0
    signal: str = ""
    """What the LM made of unseen documents; empty where none was asked."""
    date: str = ""
    seen: tuple[str, ...] = ()
    """The files that it was trained on, as `files` gives them."""
    format: int = FORMAT


def files(layout: Layout) -> tuple[str, ...]:
    """Return the beginnings of the digests of the files that the index holds, sorted; none without an index."""
    generation = generations.current(layout)
    if generation is None or not generation.manifest.exists():
        return ()
    with Manifest(generation.manifest) as manifest:
        digests = {row.hash for row in manifest.files().values() if row.hash and row.chunks}
    return tuple(sorted({digest.hex()[:_SHORT] for digest in digests}))


def due(layout: Layout, base: Bundle) -> str | None:
    """Return why there should be no training now, or None if there should; empty for what need not be said.

    It is due where there was none from BASE, where what it gave is lost, and where a good part of the files has changed
    since; never by itself for a transformer, which takes as long as its user says.
    """
    generation = generations.current(layout)
    if generation is None or not base.description.static:
        return ""
    with Manifest(generation.manifest) as manifest:
        chunks = manifest.totals().chunks
    if chunks < FEWEST:
        return f"{chunks:,} chunks are too few to adapt the retriever to; the one that ships answers"
    before = last(layout)
    if before is None or before.base != base.fingerprint:
        return None
    if before.accepted and model(layout, base) is None:
        return None
    now, then = files(layout), before.seen
    same = len({*now} & {*then}) / max(len(now), len(then), 1)
    return "" if 1 - same <= CHANGED else None


def last(layout: Layout) -> Adaptation | None:
    """Return what came of the last training, or None where there was none, or nothing of it can be read."""
    try:
        said = json.loads(layout.adaptation.read_text(encoding="utf-8"))
        if said.get("format") != FORMAT:
            return None
        known = {f.name for f in fields(Adaptation)}
        facts: dict[str, Any] = {name: value for name, value in said.items() if name in known}
        facts["seen"] = tuple(facts.get("seen", ()))
        found = Adaptation(**facts)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    # It may come with a stranger's folder: what is shown, or names a path, is text.
    texts = found.reason, found.base, found.fingerprint, found.date, found.signal
    return found if all(isinstance(text, str) for text in texts) else None


def model(layout: Layout, base: Bundle) -> Bundle | None:
    """Return the bundle that was accepted and grew from BASE, or None; a damaged one is none, and grows again.

    Where its folder is damaged, the copy counts that the generation has which was built with it.
    """
    said = last(layout)
    if said is None or not said.accepted or said.base != base.fingerprint:
        return None
    for folder in _copies(layout, said.fingerprint):
        with suppress(BundleError):
            found = bundle.load(folder)
            if found.fingerprint == said.fingerprint:
                return found
    return None


def _copies(layout: Layout, fingerprint: str) -> Iterator[Path]:
    with suppress(BundleError):
        yield _folder(layout, fingerprint)
    if answering := generations.current(layout):
        yield answering.model


@contextmanager
def working(layout: Layout) -> Iterator[Path]:
    """Give whoever holds `layout.training` a new folder, for this user alone, that goes when the block is left.

    It will hold a copy of the code and indexes of it. A training that was killed could not remove its own; so whatever
    is left here goes first, which nobody works with any more, since only one holds the lock. It is in the index folder
    and not among the system's temporary files because those are everybody's, and often in memory.

    Raises:
        StorageError: the folder can not be made.
    """
    import tempfile  # 10 ms, and readers do without

    for left in layout.folder.glob(f"{_WORK}*"):
        generations.remove(left)
    with generations.explained(layout.folder):
        folder = Path(tempfile.mkdtemp(prefix=_WORK, dir=layout.folder))
    try:
        yield folder
    finally:
        generations.remove(folder)


def keep(layout: Layout, said: Adaptation, made: Path | None) -> None:
    """Record SAID; where it was accepted, take over the bundle in the folder MADE. The one before goes with `tidy`."""
    generations.prepare(layout)
    with generations.explained(layout.folder):
        if said.accepted and made is not None:
            folder = _folder(layout, said.fingerprint)
            partial = folder.with_name(folder.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(made, partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        fresh = layout.adaptation.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(asdict(said), file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(layout.adaptation)


def tidy(layout: Layout) -> None:
    """Remove every adapted bundle but the one that counts; generations have copies of their own."""
    said = last(layout)
    keeps = _folder(layout, said.fingerprint).name if said and said.accepted else ""
    for folder in layout.folder.glob(f"{_MODEL}*"):
        if folder.name != keeps:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(layout: Layout, fingerprint: str) -> Path:
    if not (fingerprint.isascii() and fingerprint.isalnum()):
        raise BundleError(f"{layout.adaptation} names no fingerprint: {fingerprint!r}. Train again.")
    return layout.folder / f"{_MODEL}{fingerprint}"
