"""`codesearch fleet`: an index of many repositories, and how `ask --store` prints what it answers."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from codesearch.cli.surroundings import here
from codesearch.cli.visible import visible
from codesearch.fleet import events
from codesearch.fleet.access import Access, access
from codesearch.fleet.address import address
from codesearch.fleet.failures import storing

if TYPE_CHECKING:
    from rich.console import Console

    from codesearch.cli.surroundings import Asked
    from codesearch.fleet.schema import Entry
    from codesearch.gist import Gist
    from codesearch.types import Answer, Hit


def place(store: str) -> str:
    """Return the URI of the STORE that was typed."""
    return address(store, here().cwd)


def seen(visibility: Sequence[str], allow: Path | None) -> Access:
    """Return what may be seen, of what was typed."""
    return access(visibility, None if allow is None else here().cwd / allow)


@contextmanager
def opened(store: str, visibility: Sequence[str], allow: Path | None) -> Iterator[Asked]:
    """Open STORE, for who may see what `seen` says."""
    uri = place(store)
    with storing(uri):
        yield here().fleet(uri, seen(visibility, allow))


def entries(store: str, visibility: Sequence[str], allow: Path | None) -> list[Entry]:
    """Return what is in STORE, by name, of what may be seen."""
    from codesearch.fleet.search import Visible
    from codesearch.fleet.store import FleetStore

    uri = place(store)
    with storing(uri):
        found = Visible.of(FleetStore.open(uri), seen(visibility, allow)).entries
    return sorted(found, key=attrgetter("repository"))


def remove(store: str, names: Sequence[str]) -> list[str]:
    """Take the repositories with these NAMES out of STORE; return those that are not in."""
    from codesearch import bundle
    from codesearch.fleet.commit import Writer
    from codesearch.fleet.store import bundle_of

    uri = place(store)
    with storing(uri):
        writer = Writer.open(uri, bundle.load(bundle_of(uri)))
        there = writer.entries(names)
        if there:
            writer.remove(list(there))
    return [name for name in names if name not in there]


def follow(work: Iterable[events.Event], errors: Console, *, as_json: bool) -> events.Finished:
    """Carry out WORK, and tell ERRORS of it as it goes; AS_JSON prints each event as a line on standard output."""
    done = None
    answers = sys.stdout
    with _terminable(), redirect_stdout(sys.stderr):  # Ray, too, prints there what it has to say
        for event in work:
            if as_json:
                said = {"event": type(event).__name__.lower(), **asdict(event)}
                print(json.dumps(said), file=answers, flush=True)
            elif told := _told(event):
                errors.print(told, soft_wrap=True)
            if isinstance(event, events.Finished):
                done = event
    assert done is not None, "a run ends with Finished"
    return done


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end what is within as it would without Ray, which leaves a Ctrl-C be, and no other exit."""
    handler = signal.getsignal(signal.SIGTERM)
    came = False

    def interrupt(*_: object) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    if not callable(handler):
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if came:
            handler(signal.SIGTERM, None)
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)


def _told(event: events.Event) -> str:
    match event:
        case events.Indexed(repository, commit, files, chunks):
            return f"{visible(repository)} {visible(commit)[:12]}: {chunks:,} chunks of {files:,} files"
        case events.Failed(repository, reason):
            return f"{visible(repository)} failed: {visible(reason)}"
        case events.Noted(repository, message):
            return f"{visible(repository)}: warning: {visible(message)}"
        case events.Tidying():
            return "merging fragments, bringing indexes up to date"
        case events.Finished(indexed, unchanged, failed, chunks, seconds):
            return (
                f"{indexed:,} repositories indexed ({chunks:,} chunks), {unchanged:,} unchanged, {failed:,} failed, "
                f"in {seconds:.0f} s"
            )
    return ""


def status_json(store: str, entries: Sequence[Entry]) -> str:
    """Return what is in STORE as one line of JSON."""
    return json.dumps({"version": 1, "store": store, "repositories": [asdict(entry) for entry in entries]})


def status_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a line a repository, then one about all."""
    for entry in entries:
        name, commit = visible(entry.repository), visible(entry.commit)[:12]
        yield f"{name}  {commit}  {visible(entry.visibility)}  {entry.chunks:,} chunks of {entry.files:,} files"
    yield f"{len(entries):,} repositories, {sum(entry.chunks for entry in entries):,} chunks"


@dataclass(slots=True)
class Seen:
    """An answer of a fleet, as `asking.Form` prints it: there are no files here, but their lines are in the store."""

    answer: Answer
    fleet: Asked
    root: Path = Path()

    def gist(self) -> Gist | None:
        """Return what is known of the best hit."""
        return self.fleet.gist(self.answer)

    def lines(self, hit: Hit) -> list[str]:
        """Return the lines of the file that HIT is in."""
        return self.fleet.lines(hit.repository, hit.path)
