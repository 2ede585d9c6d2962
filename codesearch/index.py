"""Brings the index up to date with the files: compares, prepares, encodes, writes, and reports each step as an event.

There is one way of indexing. A cold build is a refresh of a generation that does not answer yet; a refresh compares the
files with the manifest, and does those that differ. Rows are written some thousands at a time, or as many files as a
slow model encodes in a few seconds: vectors of content that the index had are taken over, the others encoded; one
change to the store; then one transaction of the manifest, which makes it true. Whatever happens in between, the
manifest names the version of the store that counts, and the files that are not in the manifest are done again. So
stopping at any point, by closing the iterator or by a kill, loses nothing but the batch under way, and a build that was
stopped goes on where it was.

A file's dates are believed: the one that it says itself, and the one that the system keeps, which also changes when a
copy brings its date with it. Unless it was changed so shortly before it was looked at that it may have changed again in
the same tick of the clock (git calls that racily clean); then its content decides.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from codesearch import files, generations
from codesearch.bundle import DESCRIPTION, Bundle
from codesearch.errors import BundleError, CodesearchError, IndexDamagedError, RootError, UsageError
from codesearch.events import Compacting, Done, Event, Planned, Progress, Scanning, Skipped, Warned
from codesearch.files import FileEntry, Skip
from codesearch.manifest import FORMAT, Counts, FileRow, Manifest, format_of
from codesearch.paths import Generation, Layout
from codesearch.prepare import RULES, Batch, Prepared, Task, digest, prepare_all
from codesearch.settings import Settings
from codesearch.text import TEXT_VERSION
from codesearch.types import Stale
from codesearch.why import Why

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from codesearch.confidence import Calibration
    from codesearch.encode import OnnxEncoder
    from codesearch.store import Had, Store
    from codesearch.types import Row

PATIENCE: Final = 5.0
"""Seconds to wait for another process that is writing the index before saying so."""

_COMMIT: Final = 4096
"""Chunks written at a time at most: of the model that ships a second or two of work, and few pieces in the store."""
_AT_RISK: Final = 5.0
"""Seconds of encoding that a kill may cost, but for files that take longer by themselves. A transformer may take that
long for a dozen chunks: then they are written, and what is done and how long it will take is said."""
_ENCODE: Final = 1024
"""Chunks encoded at a time, which bounds memory."""
_RACY_NS: Final = 2_000_000_000
"""A file changed this shortly before it was looked at may change again and keep its date: clocks of file systems tick
every few milliseconds, of some (FAT) every two seconds."""
_TICK_NS: Final = 50_000_000
"""The same by the system's date, which only file systems of the finer clocks have."""
_SCANNED: Final = 2000
"""Files between two reports of a scan."""
_DAMAGED: Final = "The index was damaged, so it is built again."
_CONTENTS: Final = "contents"
"""What the manifest calls `generations.contents`. Comparing costs a microsecond a file, and finds what is gone or cut
short before a question does."""


_Version = tuple[tuple[int, int], int]
"""What tells one state of an index from another: the generation, and its store's version."""


@dataclass(slots=True)
class _Plan:
    """What differs between the files and the manifest."""

    tasks: list[Task] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    unchanged_bytes: int = 0
    skipped: int = 0
    looked: int = field(default_factory=time.time_ns)
    """When the files began to be looked at."""

    @property
    def work(self) -> bool:
        return bool(self.tasks or self.removed)

    @property
    def size(self) -> int:
        return sum(task.entry.size for task in self.tasks)

    def racy(self, entry: FileEntry) -> bool:
        """Tell whether a file may have changed since it was looked at and keep its dates."""
        return entry.mtime_ns >= self.looked - _RACY_NS or entry.ctime_ns >= self.looked - _TICK_NS


def standing(root: Path, layout: Layout, bundle: Bundle) -> tuple[Stale, Generation | None]:
    """Tell, without looking at the files, whether the generation that answers can be used, and which it is.

    Raises:
        IndexFormatError: the index is written by a newer version.
        UsageError: the folder holds the index of another root.
    """
    try:
        return generations.steadily(layout, lambda: _standing(root, layout, bundle))
    except IndexDamagedError:
        return Stale.DAMAGED, None


def _standing(root: Path, layout: Layout, bundle: Bundle) -> tuple[Stale, Generation | None]:
    generation = generations.current(layout)
    if generation is None:
        return Stale.MISSING, None
    if not generation.manifest.exists():
        raise IndexDamagedError(layout.folder, "it has no manifest")
    if format_of(generation.manifest) < FORMAT:
        return Stale.FORMAT, generation
    with Manifest(generation.manifest) as manifest:
        facts = manifest.facts()
        whole = _whole(generation, manifest)
    if not _same_root(root, facts):
        recorded = Path(str(facts.get("root")))
        if recorded.is_dir() and not layout.folder.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{layout.folder} holds the index of {recorded}. Give {root} an index folder of its own.")
        return Stale.MISSING, None
    if not whole:
        raise IndexDamagedError(layout.folder, "something that was written is gone or was changed")
    if facts.get("rules") != RULES:
        return Stale.CHUNKER, generation
    if facts.get("model") != bundle.fingerprint:
        return Stale.MODEL, generation
    return Stale.FRESH, generation


def _whole(generation: Generation, manifest: Manifest) -> bool:
    """Tell whether all is there that MANIFEST vouches for; it vouches for nothing while the store is cleaned."""
    sealed = manifest.get(_CONTENTS)
    if sealed is None:
        return True
    if isinstance(sealed, dict) and not generations.lacks(generation, sealed):
        return True
    return bool(manifest.get(_CONTENTS) != sealed)  # a writer has removed it, and said so before


def state(root: Path, settings: Settings, layout: Layout, bundle: Bundle) -> Stale:
    """Tell why the index can not answer as it stands, or FRESH, by every file's date; raises what `standing` raises."""
    answering = _answering(root, layout, bundle)
    if answering is None:
        return standing(root, layout, bundle)[0]
    with answering[1] as manifest:
        known = manifest.files()
    comparison = _compare(root, settings, known, None)
    while True:
        try:
            next(comparison)
        except StopIteration as stop:
            plan: _Plan = stop.value
            break
    return Stale.FILES if _changed(plan, known, settings) else Stale.FRESH


def _answering(root: Path, layout: Layout, bundle: Bundle) -> tuple[Generation, Manifest] | None:
    """Return the generation that answers, and its manifest, if it can be used as it is but for changed files."""

    def look() -> tuple[Generation, Manifest] | None:
        reason, generation = _standing(root, layout, bundle)
        return (generation, Manifest(generation.manifest)) if reason is Stale.FRESH and generation else None

    try:
        return generations.steadily(layout, look)
    except IndexDamagedError:
        return None


def _changed(plan: _Plan, known: dict[str, FileRow], settings: Settings) -> bool:
    """Tell whether there is more to PLAN than other dates of files that are as they are KNOWN."""
    return bool(plan.removed) or any(_differs(task, known.get(task.entry.path), settings) for task in plan.tasks)


def _differs(task: Task, row: FileRow | None, settings: Settings) -> bool:
    """Tell whether the file of TASK, of which the manifest has ROW, is another than when it was last read."""
    if row is None:
        return True
    content = files.read(task.entry, settings)
    return row.skipped != content.reason if isinstance(content, Skip) else row.hash != digest(content)


def update(
    root: Path,
    settings: Settings,
    layout: Layout,
    bundle: Bundle,
    *,
    paths: Collection[str] | None = None,
    rebuild: bool = False,
    encoder: OnnxEncoder | None = None,
    workers: int | None = None,
    patience: float | None = None,
) -> Generator[Event, None, None]:
    """Bring the index of ROOT up to date with its files; build it where it is missing, stale or damaged.

    Nothing happens before the first event is asked for. Close the iterator to stop; reported progress stays.

    Args:
        root: The folder that is searched.
        settings: Which files count.
        layout: Where the index is.
        bundle: The model to index with.
        paths: Look at these files only, relative to ROOT, if the index is usable and nobody else is writing it.
        rebuild: Take nothing over from what is there, whatever it is.
        encoder: BUNDLE's encoder, if one is loaded.
        workers: Processes that cut files; by default as many as repay themselves, 0 for none.
        patience: Seconds to wait for another process that is writing; by default PATIENCE.

    Raises:
        RootError: ROOT is no folder, or holds nothing to index.
        BundleError: the files of BUNDLE are no longer there.
        IndexBusyError: another process is writing.
        IndexFormatError: the index is newer, and REBUILD was not asked for.
        StorageError: the disk is full, or the index folder can not be written.
    """

    def work(*, rebuild: bool) -> Generator[Event, None, None]:
        return _update(root, settings, layout, bundle, paths, rebuild, encoder, workers, patience)

    try:
        yield from work(rebuild=rebuild)
    except IndexDamagedError:  # which was not to be seen before it was written to
        if rebuild:
            raise
        yield Warned(_DAMAGED)
        yield from work(rebuild=True)


def _update(
    root: Path,
    settings: Settings,
    layout: Layout,
    bundle: Bundle,
    paths: Collection[str] | None,
    rebuild: bool,
    encoder: OnnxEncoder | None,
    workers: int | None,
    patience: float | None,
) -> Generator[Event, None, None]:
    started = time.monotonic()
    if not root.is_dir():
        raise RootError(f"{root} is not a folder. Name the folder to index.")
    before: _Version | None = None
    plan = _Plan()
    if not rebuild and (answering := _answering(root, layout, bundle)):
        # Looking needs no lock: where nothing differs, a search waits for nobody and needs no permission to write.
        with answering[1] as manifest:
            before, known = _version(*answering), manifest.files(paths)
            plan = yield from _compare(root, settings, known, paths)
            # Dates that can not be noted change nothing: those of a copy that may only be read are others for ever.
            if not plan.work or not (generations.writable(layout) or _changed(plan, known, settings)):
                if not manifest.totals().files:
                    raise _nothing(root)
                yield Planned(0, 0, plan.unchanged, 0)
                yield _done(manifest, plan, None, started)
                return
    generations.prepare(layout)
    with ExitStack() as stack:
        stack.enter_context(generations.writing(layout, PATIENCE if patience is None else patience))
        reason, generation = (Stale.MISSING, None) if rebuild else standing(root, layout, bundle)
        in_place = reason is Stale.FRESH
        older = generation if reason is Stale.CHUNKER else None
        if reason is Stale.FORMAT:
            yield Warned("The index was written by an older codesearch, so it is built again.")
        if reason is Stale.DAMAGED:
            yield Warned(_DAMAGED)
        if not in_place or generation is None:
            generation = _begin(root, layout, bundle, resume=not rebuild)
        manifest = stack.enter_context(Manifest(generation.manifest))
        if before != _version(generation, manifest):
            plan = yield from _compare(root, settings, manifest.files(), None)  # what others have written may be all
        if not in_place and not plan.tasks and not plan.unchanged:
            raise _nothing(root)
        yield Planned(len(plan.tasks), len(plan.removed), plan.unchanged, plan.size)
        if any(manifest.get(key) != value for key, value in _identity(root).items()):
            manifest.record(**_identity(root))  # known again when it is moved once more
        if not in_place:
            manifest.record(planned=plan.unchanged_bytes + plan.size)

        writer = stack.enter_context(
            closing(_Writer(generation, manifest, bundle, encoder, plan.racy, building=not in_place))
        )
        if older:
            writer.reuse_from(older)
        writer.remove(plan.removed)
        writer.size = plan.size
        said = bundle.description
        work = prepare_all(plan.tasks, settings, said.normalise == "bag", workers, singly=not said.static)
        for batch in stack.enter_context(closing(work)):
            for skip in writer.add(batch):
                yield Skipped(skip.path, skip.reason)
            yield from (Warned(_plain(file.entry.path)) for file in batch.files if file.given_up)
            if writer.due:
                writer.commit()
                yield writer.progress
        if writer.dirty:
            writer.commit()
            yield writer.progress
        if not manifest.totals().files:
            raise _nothing(root)
        if not in_place or writer.worn:
            yield Compacting()
            writer.finish()
        if not in_place:
            generations.switch(layout, generation)
        generations.sweep(layout)
        yield _done(manifest, plan, writer, started)


def _plain(path: str) -> str:
    return f"{path} takes too much to be cut at its functions, so it is cut at lines; all of it can be found."


def _version(generation: Generation, manifest: Manifest) -> _Version:
    return generations.identity(generation), manifest.store_version


def _nothing(root: Path) -> RootError:
    return RootError(
        f"nothing to index in {root}: no file there is text that is not ignored. "
        "`codesearch inspect PATH` says why a file is left out."
    )


def _done(manifest: Manifest, plan: _Plan, writer: _Writer | None, started: float) -> Done:
    totals = manifest.totals()
    progress = writer.progress if writer else Progress(0, 0, 0, 0)
    return Done(
        files=totals.files,
        chunks=totals.chunks,
        indexed=writer.indexed if writer else 0,
        removed=len(plan.removed),
        encoded=progress.encoded,
        reused=progress.chunks - progress.encoded,
        skipped=plan.skipped + totals.skipped,
        seconds=time.monotonic() - started,
    )


def _begin(root: Path, layout: Layout, bundle: Bundle, *, resume: bool) -> Generation:
    """Return the generation to build: one that was begun with the same rules and model, or a new one."""
    if resume and (half := begun(root, layout, bundle)):
        return half
    generation = generations.create(layout)
    with generations.explained(layout.folder):
        generation.model.mkdir()
        try:
            for name in (*bundle.description.files, DESCRIPTION):
                shutil.copyfile(bundle.folder / name, generation.model / name)
        except FileNotFoundError as error:
            raise BundleError(
                f"the model in {bundle.folder} is no longer there. Run the same command again."
            ) from error
    with Manifest(generation.manifest, create=True) as manifest:
        manifest.record(rules=RULES, model=bundle.fingerprint, **_identity(root))
    return generation


def begun(root: Path, layout: Layout, bundle: Bundle) -> Generation | None:
    """Return the generation that is being built, or was begun and not finished, by these rules with this model."""
    if not layout.folder.is_dir():
        return None
    for generation in generations.half_built(layout):
        try:
            with Manifest(generation.manifest) as manifest:
                facts = manifest.facts()
                whole = _whole(generation, manifest)
        except CodesearchError:
            continue
        if (
            whole
            and _same_root(root, facts)
            and (facts.get("rules"), facts.get("model")) == (RULES, bundle.fingerprint)
        ):
            return generation
    return None


def share_built(generation: Generation) -> float:
    """Return how much of the files, by bytes, can be searched in a GENERATION that is being built; 0 if nothing."""
    with Manifest(generation.manifest) as manifest:
        planned = manifest.get("planned") or 0
        if not manifest.store_version or not planned:
            return 0.0
        return min(1.0, manifest.bytes() / planned)


def _identity(root: Path) -> dict[str, Any]:
    """Return what a root is recognised by: its path, or its inode once it was moved."""
    return {"root": os.fsencode(root.resolve()).decode("utf-8", "replace"), "inode": root.stat().st_ino}


def _same_root(root: Path, facts: dict[str, Any]) -> bool:
    return any(facts.get(key) == value for key, value in _identity(root).items())


def _compare(
    root: Path, settings: Settings, known: dict[str, FileRow], paths: Collection[str] | None
) -> Generator[Event, None, _Plan]:
    """Compare the files as they are (all, or PATHS) with what is KNOWN of them to the manifest; return what differs."""
    plan = _Plan()
    gone = set(known)
    seen = 0
    yield Scanning(0)
    for entry in files.scan(root, settings, paths):
        row = known.get(entry.path)
        if row is None:
            entry = named(entry)
        if isinstance(entry, Skip):
            plan.skipped += 1
            yield Skipped(entry.path, entry.reason)
            continue
        seen += 1
        if seen % _SCANNED == 0:
            yield Scanning(seen)
        gone.discard(entry.path)
        if row is None:
            plan.tasks.append(Task(entry, None))
        elif (row.size, row.mtime_ns, row.ctime_ns) != (entry.size, entry.mtime_ns, entry.ctime_ns):
            plan.tasks.append(Task(entry, row.hash))
        elif row.skipped is not None:
            yield Skipped(row.path, row.skipped)
        else:
            plan.unchanged += 1
            plan.unchanged_bytes += entry.size
    plan.removed = sorted(gone)
    yield Scanning(seen)
    return plan


def named(entry: FileEntry | Skip) -> FileEntry | Skip:
    """Return ENTRY, or why it is not indexed after all: a row can only hold a path that is text."""
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        return Skip(entry.path, Why.UNREADABLE, "its name is not UTF-8")
    return entry


class _Writer:
    """Collects prepared files and writes them to one generation, as many at a time as are encoded in some seconds."""

    def __init__(
        self,
        generation: Generation,
        manifest: Manifest,
        bundle: Bundle,
        encoder: OnnxEncoder | None,
        racy: Callable[[FileEntry], bool],
        *,
        building: bool,
    ) -> None:
        self.progress = Progress(0, 0, 0, 0)
        self.indexed = 0
        self.pending = 0
        """Chunks collected and not yet written."""
        self.size = 0
        """Bytes of all files that will be collected."""
        self._generation = generation
        self._manifest = manifest
        self._bundle = bundle
        self._encoder = encoder
        self._racy = racy
        self._building = building
        self._files: list[Prepared] = []
        self._removed: list[str] = []
        self._counts = Counts()
        self._open: Store | None = None
        self._older: Store | None = None
        self._fresh = manifest.store_version == 0
        self._repaired = False
        self._began = time.monotonic()
        self._worth = _COMMIT if bundle.description.static else 1  # of a transformer's speed nothing is known yet

    @property
    def due(self) -> bool:
        """Whether what was collected is to be written before more is."""
        return self.pending >= self._worth

    @property
    def dirty(self) -> bool:
        """Whether anything was collected that is not yet written."""
        return bool(self._files or self._removed)

    def remove(self, paths: list[str]) -> None:
        """Forget the files PATHS with the next commit."""
        self._removed += paths

    def reuse_from(self, generation: Generation) -> None:
        """Take over vectors from GENERATION, if they have the same model and are of the same texts."""
        from codesearch.store import Store

        with Manifest(generation.manifest) as manifest:
            same_texts = str(manifest.get("rules")).endswith(f".{TEXT_VERSION}")
            if manifest.get("model") == self._bundle.fingerprint and same_texts and manifest.store_version:
                self._older = Store.open(generation.store, manifest.store_version)

    def add(self, batch: Batch) -> Iterator[Skip]:
        """Collect BATCH; return what of it is skipped."""
        self._files += batch.files
        self._counts.merge(batch.counts)
        self.pending += sum(len(file.rows) for file in batch.files)
        return (file.skip for file in batch.files if file.skip)

    def commit(self) -> None:
        """Write what was collected: one change to the store, then one transaction of the manifest."""
        changed = [file for file in self._files if not file.same]
        replaced = self._removed if self._fresh else [*self._removed, *(file.entry.path for file in changed)]
        rows = [row for file in changed for row in file.rows]
        store = self._store() if rows or (replaced and not self._fresh) else None
        had = store.of_files(replaced) if store is not None and not self._fresh else {}
        for chunks in had.values():
            self._counts.discount(terms.split() for _, terms, _ in chunks)
        encoded = 0
        facts = {}
        if store is not None:
            documents = [text for file in changed for text in file.documents]
            headings = [text for file in changed for text in file.headings]
            began = time.monotonic()
            vectors, encoded = self._vectors(rows, documents, headings, had)
            if encoded:
                speed = encoded / max(time.monotonic() - began, 1e-6)
                self._worth = min(_COMMIT, max(1, round(_AT_RISK * speed)))
            store.remove(had.keys())
            store.append(rows, vectors)
            if not self._building:  # until then nobody can say how sure an answer is
                facts = {"foreign": asdict(self._followed(store, had, rows, vectors))}
        self._make_true(
            self._manifest.store_version if store is None else store.version,
            files=[self._file_row(file) for file in self._files],
            removed=self._removed,
            counts=self._counts,
            facts=facts,
        )
        done = self.progress
        size = done.bytes + sum(file.entry.size for file in self._files)
        spent = time.monotonic() - self._began
        self.progress = Progress(
            done.files + len(changed),
            done.chunks + len(rows),
            size,
            done.encoded + encoded,
            left=spent * max(0, self.size - size) / max(size, 1),
        )
        self.indexed += sum(1 for file in changed if not file.skip)
        self._files, self._removed, self._counts, self.pending = [], [], Counts(), 0

    def _make_true(self, store_version: int, facts: Mapping[str, Any] | None = None, **changes: Any) -> None:
        facts = {_CONTENTS: generations.contents(self._generation), **(facts or {})}
        self._manifest.commit(store_version=store_version, facts=facts, **changes)

    def _store(self) -> Store:
        if self._open is None:
            from codesearch.store import Store

            version = self._manifest.store_version
            if version:
                self._open = Store.open(self._generation.store, version)
                self._repaired = self._open.reset()
            else:
                self._open = Store.create(self._generation.store, self._bundle.description.dimensions)
        return self._open

    def _vectors(
        self, rows: list[Row], documents: list[str], headings: list[str], had: Had
    ) -> tuple[NDArray[np.int8], int]:
        """Return the stored vectors of ROWS, shape (rows, dimensions), and how many had to be encoded."""
        import numpy as np

        from codesearch.store import packed

        if self._older is not None:
            had = self._older.of_files({row.path for row in rows})
        kept = {key: vector for chunks in had.values() for key, _, vector in chunks}
        vectors = np.zeros((len(rows), self._bundle.description.dimensions), np.int8)
        missing = []
        for i, row in enumerate(rows):
            if (vector := kept.get(row.digest)) is None:
                missing.append(i)
            else:
                vectors[i] = vector
        for start in range(0, len(missing), _ENCODE):
            some = missing[start : start + _ENCODE]
            vectors[some] = packed(self._encode([documents[i] for i in some], [headings[i] for i in some]))
        return vectors, len(missing)

    def _encode(self, documents: list[str], headings: list[str]) -> NDArray[np.float32]:
        from codesearch.encode import passages

        return passages(self._its_encoder(), documents, headings)

    def _its_encoder(self) -> OnnxEncoder:
        if self._encoder is None:
            from codesearch.encode import OnnxEncoder

            self._encoder = OnnxEncoder(self._bundle)
        return self._encoder

    def _file_row(self, file: Prepared) -> FileRow:
        entry = file.entry
        again = self._racy(entry) or (file.skip and file.skip.why in (Why.UNREADABLE, Why.MISSING))
        mtime_ns = 0 if again else entry.mtime_ns
        if file.same and (row := self._manifest.file(entry.path)):
            return row._replace(size=entry.size, mtime_ns=mtime_ns, ctime_ns=entry.ctime_ns)
        return FileRow(
            entry.path,
            file.digest,
            entry.size,
            mtime_ns,
            file.language,
            len(file.rows),
            file.length,
            file.skip.reason if file.skip else None,
            entry.ctime_ns,
        )

    @property
    def worn(self) -> bool:
        """Whether the store needs `finish` although it answers already."""
        return self._open is not None and (self._repaired or self._open.worn())

    def finish(self) -> None:
        """Index the full text, compact where it is due, and remove what no version in use needs."""
        if not self._manifest.store_version:
            return  # files, but not one chunk
        store = self._store()
        store.index()
        facts = {"foreign": asdict(self._measured(store))} if self._building else {}
        tidy = self.worn
        if tidy:
            store.compact()
        self._make_true(store.version, facts=facts)
        if tidy:
            self._manifest.record(**{_CONTENTS: None})
            store.clean(readers=not self._building)
            self._make_true(store.version)

    def _measured(self, store: Store) -> Calibration:
        """Return how near STORE comes to questions that it does not answer."""
        from codesearch.confidence import Calibration

        return Calibration.of(self._its_encoder(), store.vectors())

    def _followed(self, store: Store, had: Had, rows: list[Row], vectors: NDArray[np.int8]) -> Calibration:
        """Return the same by what was recorded before STORE had ROWS with VECTORS in place of the chunks HAD.

        Its other chunks are looked at only where one that is gone was the nearest to a question.
        """
        from codesearch.confidence import Calibration
        from codesearch.store import unpacked

        before = {digest for chunks in had.values() for digest, _, _ in chunks}
        known = Calibration.recorded(self._manifest.get("foreign"))
        known = known and known.without(before.difference(row.digest for row in rows))
        if known is None:
            return self._measured(store)
        new = [i for i, row in enumerate(rows) if row.digest not in before]
        if not new:
            return known
        added = [rows[i].digest for i in new], unpacked(vectors[new])
        return known.joined(Calibration.of(self._its_encoder(), [added]))

    def close(self) -> None:
        """Release the stores."""
        for store in (self._open, self._older):
            if store is not None:
                store.close()
