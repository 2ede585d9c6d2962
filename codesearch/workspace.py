"""The façade over one indexed folder: what the terminal, the servers and the evaluation hold.

Opening one is cheap. What is heavy (LanceDB takes over a second to import, the model a tenth) loads when first needed,
then stays, so a long-lived process answers in milliseconds and picks up what others have indexed meanwhile.

Indexing cuts files in processes that are spawned: a script that does it needs its `if __name__ == "__main__":`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from codesearch import adaptation, bundle, generations
from codesearch.adaptation import Adaptation
from codesearch.errors import (
    BundleError,
    CodesearchError,
    IndexBusyError,
    IndexDamagedError,
    IndexFormatError,
    RootError,
    StorageError,
    UsageError,
)
from codesearch.events import Event, Warned
from codesearch.files import FileEntry, Skip, explain, is_ours, read
from codesearch.paths import INDEX_FOLDER, Generation, Layout, base_bundle, index_folder, user_index_folder
from codesearch.settings import Settings
from codesearch.types import Answer, Chunk, Hit, Stale

if TYPE_CHECKING:
    from codesearch.encode import OnnxEncoder
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.search import Filter, Mode, Snapshot

Found = TypeVar("Found")

_TRIES: Final = 5
"""Times a writer may commit while a reader opens, or answers; each commit takes longer than either."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is there, for `codesearch status`."""

    root: Path
    folder: Path
    """Where the index is, or would be."""
    state: Stale
    model: str = ""
    """Name of the model whose vectors are in the index."""
    fingerprint: str = ""
    files: int = 0
    """Files with chunks."""
    chunks: int = 0
    skipped: int = 0
    """Files that were read and can not be indexed."""
    languages: tuple[tuple[str, int, int], ...] = ()
    """Language, files, chunks; most chunks first."""
    bytes: int = 0
    """The index on disk, the model apart."""
    model_bytes: int = 0
    adaptation: Adaptation | None = None
    """What came of the last training."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What would be indexed of one file, and why, or why not."""

    path: str
    skip: Skip | None
    """Why the file is not indexed; None where it is."""
    chunks: tuple[Chunk, ...] = ()
    indexed: bool = False
    """Whether the index holds this very content."""


class Workspace:
    """One folder and its index."""

    def __init__(
        self, root: Path, settings: Settings, layout: Layout, notice: str = "", model: bundle.Bundle | None = None
    ) -> None:
        """Use `open`."""
        self.root = root
        self.settings = settings
        self.layout = layout
        self.notice = notice
        """What a person should know about where the index is; may be empty."""
        self.aside: Path | None = None
        """The index folder in ROOT that is left aside because this user has not made it, if there is one."""
        self._model = model
        self._adapted: tuple[int, bundle.Bundle | None] = (0, None)
        self._held: _Held | None = None

    @classmethod
    def open(cls, root: Path, settings: Settings | None = None, *, model: bundle.Bundle | None = None) -> Self:
        """Return the workspace of ROOT; nothing is built or loaded yet.

        MODEL is what to index with, whatever else there is; by default the workspace's own retriever, or the base.

        An index folder in ROOT that this user has not made there, that git tracks, or that is no real folder, is not
        ours and is left alone: the index is then in the per-user data folder.

        Raises:
            RootError: ROOT is missing or not a folder.
            UsageError: the settings name an index folder that is not ours.
        """
        settings = settings or Settings()
        try:
            root = root.resolve(strict=True)
        except OSError as error:
            raise RootError(f"{root} can not be opened: {error.strerror}. Name the folder to search.") from error
        if not root.is_dir():
            raise RootError(f"{root} is not a folder. Name the folder to search.")
        folder = index_folder(root, settings.index_dir)
        why = _foreign(folder)
        if not why:
            return cls(root, settings, Layout(folder), model=model)
        if settings.index_dir is not None:
            raise UsageError(f"{folder} can not hold the index: {why}. Remove it, or name another.")
        instead = user_index_folder(root)
        if also := _foreign(instead):
            raise UsageError(f"{instead} can not hold the index: {also}. Remove it.")
        aside = why == _NOT_MADE_HERE
        advice = "Run `codesearch clear`" if aside else f"Remove {INDEX_FOLDER}/"
        notice = f"{INDEX_FOLDER}/ is not used, because {why}; the index is in {instead}. {advice}, "
        notice += "and it is kept there again."
        workspace = cls(root, settings, Layout(instead), notice, model)
        workspace.aside = folder if aside else None
        return workspace

    @cached_property
    def base(self) -> bundle.Bundle:
        """The model to start from: the one that ships in the package, or the user's own."""
        return bundle.load(self.settings.model or base_bundle())

    @property
    def bundle(self) -> bundle.Bundle:
        """The model to index with: the one adapted to this folder, if it has proved itself, else the base.

        Looked up each time, for another process may have trained it meanwhile; loaded only when it has.
        """
        if self._model is not None:
            return self._model
        try:
            written = self.layout.adaptation.stat().st_mtime_ns
        except OSError:
            return self.base
        if written != self._adapted[0]:
            self._adapted = written, adaptation.model(self.layout, self.base)
        return self._adapted[1] or self.base

    def training_due(self) -> str | None:
        """Return None if the retriever should be adapted now, else why not; empty for what need not be said."""
        return adaptation.due(self.layout, self.base)

    def state(self) -> Stale:
        """Tell why the index can not answer as it stands, or FRESH; looks at every file's date."""
        from codesearch.index import state

        return state(self.root, self.settings, self.layout, self.bundle)

    def unfinished(self) -> float:
        """Return how much of the first index can be searched while it is being built: a share, 0 for nothing yet."""
        from codesearch.index import share_built

        half = self._half()
        try:
            return share_built(half) if half else 0.0
        except (IndexFormatError, StorageError):
            return 0.0  # it was removed

    def _half(self) -> Generation | None:
        from codesearch.index import begun

        return begun(self.root, self.layout, self.bundle)

    def usable(self) -> bool:
        """Tell whether there is an index that can answer, fresh or not; looks at no file."""
        from codesearch.index import standing

        return standing(self.root, self.layout, self.bundle)[0].answers

    def index(
        self,
        *,
        paths: Collection[str] | None = None,
        rebuild: bool = False,
        workers: int | None = None,
        patience: float | None = None,
    ) -> Generator[Event, None, None]:
        """Bring the index up to date; see `codesearch.index.update` for arguments and errors."""
        from codesearch.index import update

        if self.notice:
            yield Warned(self.notice)
        while True:
            model = self.bundle
            try:
                yield from update(
                    self.root,
                    self.settings,
                    self.layout,
                    model,
                    paths=paths,
                    rebuild=rebuild,
                    workers=workers,
                    patience=patience,
                    encoder=self._encoder(),
                )
                return
            except BundleError:
                if self.bundle.fingerprint == model.fingerprint:
                    raise
                # A training that ended meanwhile has replaced it.

    def _encoder(self) -> OnnxEncoder | None:
        held = self._held
        return held.encoder if held and held.encoder.fingerprint == self.bundle.fingerprint else None

    def snapshot(self) -> Snapshot:
        """Return the index as it is now, open for reading; valid until the next call, or `close`.

        While the first index is being built, it is what there is of it.

        Raises:
            IndexBusyError: the first index is being built, and there is nothing of it yet.
            IndexFormatError: there is no index, or it is damaged.
        """
        if not self._current():
            self._hold(self._newest())
        assert self._held is not None
        return self._held.snapshot

    def _current(self) -> bool:
        """Tell whether what is open is still what answers."""
        return self._held is not None and generations.steadily(self.layout, partial(self._held.current, self.layout))

    def _newest(self) -> _Held:
        half = self._half() if generations.current(self.layout) is None else None
        if half and not self.unfinished():
            raise IndexBusyError(f"{self.root} is being indexed, and nothing of it yet; ask again in a moment.")
        return _Held(self.root, self.layout, self._held, half)

    def _hold(self, opened: _Held) -> None:
        before, self._held = self._held, opened
        if before is not None:
            before.close()

    def ask(
        self,
        query: str,
        limit: int = 10,
        *,
        only: Filter | None = None,
        mode: Mode | None = None,
        min_score: float | None = None,
        refresh: bool = True,
    ) -> Answer:
        """Answer QUERY with up to LIMIT hits, with their text, among the files that ONLY lets through.

        The index is brought up to date first, or built; where another process is writing it, or it can not be written,
        the answer is what it knows, and says that it is stale. Without REFRESH it is asked as it is. There are no hits
        where the confidence that anything answers is below MIN_SCORE, by default `confidence.ENOUGH`.
        """
        from codesearch.confidence import ENOUGH
        from codesearch.search import Mode, search, with_text

        started = time.perf_counter()
        state = self._refresh() if refresh else Stale.FRESH

        def found(snapshot: Snapshot) -> tuple[tuple[Hit, ...], bool, float]:
            hits, sure = search(snapshot, query, limit, mode or Mode.FUSED, only)
            if sure < (ENOUGH if min_score is None else min_score):
                hits = []
            return *with_text(snapshot, hits, self.settings), sure

        (shown, same, sure), indexed, steady = self._read(found)
        took = (time.perf_counter() - started) * 1000
        return Answer(query, state if same and steady and indexed == 1 else Stale.FILES, took, shown, sure, indexed)

    def related(
        self, path: str | Path, line: int, limit: int = 5, *, refresh: bool = True
    ) -> tuple[Hit, dict[Relation, tuple[Hit, ...]]]:
        """Return the chunk at LINE of the file PATH (absolute, or relative to the root), and what belongs to it.

        For each relation there are at most LIMIT hits, best first. The index is brought up to date first, as by `ask`.
        A file that is not indexed, and a line that it has not, raise UsageError.
        """
        from codesearch.related import OfFolder, related

        if refresh:
            self._refresh()
        found = explain(self.root, path, self.settings)
        return self._read(lambda snapshot: related(OfFolder(snapshot, self.settings), found.path, line, limit))[0]

    def _read(self, work: Callable[[Snapshot], Found]) -> tuple[Found, float, bool]:
        """Return what WORK finds in the index, how much of the files that has, and whether it is all of one state.

        Statistics, and what is not in memory, are those of now. So where another process has written the index since it
        was opened, or removed what was open, it is opened and read again; if that happens each time, the last counts.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                snapshot = self.snapshot()
                indexed = self._held.share if self._held else 1.0
                found = work(snapshot)
                steady = indexed < 1 or self._current()  # a part of an index grows all the while
            except (IndexFormatError, StorageError) as error:
                self._release()
                if attempt == _TRIES:
                    self._judge(error)
                    raise
            else:
                if steady or attempt == _TRIES:
                    return found, indexed, steady
        raise AssertionError("the last attempt returns or raises")

    def _judge(self, error: CodesearchError) -> None:
        """Set what answers aside where ERROR says that it is damaged, so that whoever indexes next builds another."""
        if isinstance(error, IndexDamagedError) and (generation := generations.current(self.layout)):
            generations.set_aside(self.layout, generation)

    def gist(self, answer: Answer) -> Gist | None:
        """Return what is known of the best hit of ANSWER, just given, beside its place; None where it is not sure."""
        from codesearch.gist import SURE, gist
        from codesearch.related import OfFolder

        if not answer.hits or answer.confidence < SURE:
            return None
        try:
            return self._read(lambda snapshot: gist(OfFolder(snapshot, self.settings), answer.hits[0]))[0]
        except UsageError:  # its file has changed since it was found
            return None

    def lines(self, path: str) -> list[str]:
        """Return the lines of the file at PATH, relative to the root, as it is now; none where it must not be read."""
        from codesearch.chunk import decode

        data = read(FileEntry(path, str(self.root), 0, 0), self.settings)
        return decode(data).removesuffix("\n").split("\n") if isinstance(data, bytes) else []

    def _refresh(self) -> Stale:
        try:
            for _ in self.index():
                pass
        except (IndexBusyError, StorageError):
            if not self.usable():
                raise
            return Stale.FILES
        return Stale.FRESH

    def status(self) -> Status:
        """Return what is there."""
        from codesearch.manifest import Manifest

        state = self.state()
        generation = generations.current(self.layout)
        if not state.answers or generation is None:
            return Status(self.root, self.layout.folder, state)
        with Manifest(generation.manifest) as manifest:
            totals, languages = manifest.totals(), manifest.languages()
        model = bundle.load(generation.model)
        model_bytes = _size(generation.model)
        return Status(
            root=self.root,
            folder=self.layout.folder,
            state=state,
            model=model.description.name,
            fingerprint=model.fingerprint,
            files=totals.files,
            chunks=totals.chunks,
            skipped=totals.skipped,
            languages=tuple((name, *counts) for name, counts in languages.items()),
            bytes=_size(generation.folder) - model_bytes,
            model_bytes=model_bytes,
            adaptation=adaptation.last(self.layout),
        )

    def inspect(self, path: str | Path) -> Inspection:
        """Say what would be indexed of the file PATH (absolute, or relative to the root), or why it is not."""
        from codesearch.chunk import chunk, decode
        from codesearch.manifest import Manifest
        from codesearch.prepare import digest

        found = explain(self.root, path, self.settings)
        content = read(found, self.settings) if isinstance(found, FileEntry) else found
        if isinstance(content, Skip):
            return Inspection(content.path, content)
        indexed = False
        generation = generations.current(self.layout)
        if generation is not None and generation.manifest.exists():
            with Manifest(generation.manifest) as manifest:
                row = manifest.file(found.path)
                indexed = row is not None and row.hash == digest(content)
        return Inspection(found.path, None, tuple(chunk(found.path, decode(content))), indexed)

    def same(self, other: Workspace | None) -> bool:
        """Tell whether OTHER is this index under these settings."""
        return other is not None and (self.root, self.layout, self.settings, self.notice) == (
            other.root,
            other.layout,
            other.settings,
            other.notice,
        )

    def take_over(self, other: Workspace) -> None:
        """Go on with what OTHER has open of the same index; it opens anew what it needs."""
        if (self.root, self.layout) == (other.root, other.layout):
            self._held, other._held = other._held, self._held

    def close(self) -> None:
        """Release the index."""
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_NOT_MADE_HERE: Final = "you have not made it here: it came with the folder, was copied, or is of an earlier version"


def _foreign(folder: Path) -> str:
    """Return why what is called FOLDER must not be taken for an index of ours, or nothing where it may, or is none."""
    why = ""
    if folder.is_symlink() or not folder.is_dir():
        why = "it is no real folder"
    elif not is_ours(folder):
        why = "git tracks it"
    elif not generations.ours(Layout(folder)):
        why = _NOT_MADE_HERE
    return why if os.path.lexists(folder) else ""  # last, for another process may be removing it


class _Held:
    """One version of one generation, open for reading and kept from being removed."""

    def __init__(self, root: Path, layout: Layout, previous: _Held | None, unfinished: Generation | None) -> None:
        """Open the generation that answers, or the UNFINISHED one; take over what PREVIOUS has of it.

        Raises:
            IndexFormatError: there is none, or it is damaged.
        """
        from codesearch.encode import OnnxEncoder
        from codesearch.index import share_built
        from codesearch.manifest import Manifest
        from codesearch.search import Snapshot
        from codesearch.store import Mirror, Store

        with ExitStack() as stack:
            hold = stack.enter_context(generations.Hold(layout, unfinished))
            self.generation = hold.generation
            self._unfinished = unfinished
            self._identity = hold.identity
            same = previous if previous and previous._identity == self._identity else None
            self.share = share_built(unfinished) if unfinished and generations.current(layout) is None else 1.0
            """How much of the files, by bytes, is in it; less than 1 in a part of a first index."""
            manifest = stack.enter_context(Manifest(self.generation.manifest))
            try:
                encoder: OnnxEncoder = same.encoder if same else OnnxEncoder(bundle.load(self.generation.model))
            except BundleError as error:
                raise IndexDamagedError(layout.folder, "its model is not what was written") from error
            for attempt in range(_TRIES):
                version = manifest.store_version
                try:
                    store = Store.open(self.generation.store, version)
                    mirror = Mirror.load(store, same.snapshot.mirror if same else None)
                    break
                except IndexDamagedError:
                    # A writer may have committed, and cleaned up, between the two lines.
                    if attempt == _TRIES - 1 or version == manifest.store_version:
                        raise
            stack.callback(store.close)
            self.snapshot: Snapshot = Snapshot(root, manifest, store, mirror, encoder)
            self.encoder: OnnxEncoder = encoder
            self._stack = stack.pop_all()

    def part(self, layout: Layout) -> bool:
        """Tell whether this is a part of a first index, which is still being built, or was begun."""
        building = self._unfinished is not None and generations.current(layout) is None
        return building and generations.identity(self.generation) == self._identity

    def current(self, layout: Layout) -> bool:
        """Tell whether this is still what answers."""
        return (
            (generations.current(layout) or self._unfinished) == self.generation
            and generations.identity(self.generation) == self._identity
            and self.snapshot.manifest.store_version == self.snapshot.mirror.version
        )

    def close(self) -> None:
        """Release the files, and let the generation go."""
        self._stack.close()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
