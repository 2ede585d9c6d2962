"""Indexing as it is watched: a live line on a terminal, a few plain ones elsewhere; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from rich.progress import BarColumn, Progress, TextColumn

from codesearch import events
from codesearch.cli.surroundings import here
from codesearch.cli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

Result = TypeVar("Result")

_NAMED: Final = 5
"""Skipped files named for each reason; `inspect` tells about any other."""
_PATIENCE: Final = 5.0
"""Seconds between two lines where there is no terminal: a short run says nothing on its way."""
_MANY: Final = 1000
"""Chunks from which on a speed means something."""


class Watch:
    """Carries out indexing and shows it."""

    def __init__(self, console: Console) -> None:
        """Show work on CONSOLE, which writes to standard error."""
        self._console = console
        self._skipped: dict[str, list[str]] = {}
        self._done: events.Done | None = None

    def run(self, work: Generator[events.Event, None, None]) -> events.Done:
        """Carry out indexing to its end and return what was done; whatever ends WORK early also closes it."""
        self.follow(work)
        assert self._done is not None, "indexing ends with Done"
        return self._done

    def run_for(self, work: Generator[events.Event, None, None], seconds: float) -> events.Done | None:
        """Carry out indexing for SECONDS, or until something can be searched; return what was done, if that was all.

        What would take no more than as long again is not left undone.
        """
        self.follow(_until_soon(work, seconds))
        return self._done

    def follow(self, work: Generator[events.Event, None, Result]) -> Result:
        """Carry out WORK to its end and return its result; whatever ends it early also closes it."""
        show = self._bar if self._console.is_terminal else self._lines
        with closing(work), show() as update:
            while True:
                try:
                    event = next(work)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                here().check()
                match event:
                    case events.Skipped(path=path, reason=reason):
                        self._skipped.setdefault(reason.partition(":")[0], []).append(path)
                    case events.Warned(message=message):
                        self._console.print(f"warning: {visible(message)}", style="yellow", soft_wrap=True)
                    case events.Done():
                        self._done = event
                    case _:
                        update(event)

    @contextmanager
    def _bar(self) -> Iterator[Callable[[events.Event], None]]:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}")
        # It redirects the streams of the whole process, otherwise; in a server those are others' too.
        bar = Progress(*columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
        task = bar.add_task("indexing", total=None, said="")
        speed = _Speed()

        def update(event: events.Event) -> None:
            match event:
                case events.Planned(files=files, bytes=size):
                    speed.start()
                    bar.update(task, total=size, said=f"{files:,} files")
                    if files:  # otherwise there is nothing to wait for, and a bar would only flicker
                        bar.start()
                case events.Progress(bytes=size):
                    bar.update(task, completed=size, said=speed.said(event))
                case events.Compacting():
                    bar.update(task, description="compacting", total=None, said="")
                case events.Adapting(stage=stage):
                    bar.start()
                    bar.update(task, description=f"adapting: {stage}", total=None, said="")
                case events.Trained(progress=progress):
                    bar.update(task, total=1, completed=progress, said=_trained(event))

        try:
            yield update
        finally:
            bar.stop()

    @contextmanager
    def _lines(self) -> Iterator[Callable[[events.Event], None]]:
        speed = _Speed()
        last = time.monotonic()

        def update(event: events.Event) -> None:
            nonlocal last
            match event:
                case events.Planned():
                    speed.start()
                case events.Progress() if time.monotonic() - last > _PATIENCE:
                    last = time.monotonic()
                    self._console.print(f"indexing: {speed.said(event)}", soft_wrap=True)
                case events.Adapting(stage=stage):
                    self._console.print(f"adapting: {stage}", soft_wrap=True)
                case events.Trained() if time.monotonic() - last > _PATIENCE:
                    last = time.monotonic()
                    self._console.print(f"training: {_trained(event)}", soft_wrap=True)

        yield update

    def print_skipped(self) -> None:
        """Name what was skipped, by reason, a few of each."""
        for reason, paths in sorted(self._skipped.items()):
            named = ", ".join(map(visible, paths[:_NAMED]))
            more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
            self._console.print(f"skipped, {reason}: {named}{more}", style="dim", soft_wrap=True)


def _until_soon(work: Generator[events.Event, None, None], seconds: float) -> Generator[events.Event, None, None]:
    """Do WORK for SECONDS; all of it, if what is left then would take no longer."""
    started = time.monotonic()
    planned = 0
    with closing(work):
        for event in work:
            yield event
            if isinstance(event, events.Planned):
                planned = event.bytes
            if isinstance(event, events.Progress) and (took := time.monotonic() - started) > seconds:
                left = took * (planned / max(event.bytes, 1) - 1)
                if left > seconds:
                    return


class _Speed:
    """Chunks a second since the work proper began."""

    def start(self) -> None:
        self._started = time.monotonic()

    def said(self, done: events.Progress) -> str:
        speed = done.chunks / max(time.monotonic() - self._started, 1e-6)
        digits = 0 if speed >= 10 else 1
        return f"{done.files:,} files, {done.chunks:,} chunks, {speed:,.{digits}f} chunks/s{done.wait}"


def _trained(now: events.Trained) -> str:
    """Return how training goes, in a line."""
    said = [f"step {now.steps}"]
    if now.loss is not None:
        said.append(f"LM loss {now.loss:.2f}")
    if now.gain is not None:
        said.append(f"{now.gain:.2f} less for other documents")
    if now.mrr is not None:
        said.append(f"held-out MRR {now.before:.3f} → {now.mrr:.3f}")
    return ", ".join(said) + now.wait


def summary(done: events.Done) -> str:
    """Return one sentence on what was done and what the index holds now."""
    holds = f"{done.files:,} files, {done.chunks:,} chunks"
    if not done.indexed and not done.removed:
        return f"up to date: {holds} ({done.seconds:.2f} s)"
    parts = [f"indexed {done.indexed:,} files"]
    if done.removed:
        parts.append(f"removed {done.removed:,}")
    if done.reused:
        parts.append(f"reused {done.reused:,} vectors")
    if done.skipped:
        parts.append(f"skipped {done.skipped:,} files")
    took = f"{done.seconds:.1f} s"
    if (chunks := done.encoded + done.reused) >= _MANY:
        took += f", {chunks / done.seconds:,.0f} chunks/s"
    return f"{', '.join(parts)}; the index holds {holds} ({took})"
