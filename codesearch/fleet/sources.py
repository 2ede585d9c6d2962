"""What to index: URLs of git repositories and folders, each with a name, a revision and a visibility.

Typed one by one, or in a file, one a line, as the shell splits words, with what is to be said of it behind:

    # comment
    https://github.com/acme/shop.git  revision=v2.1  visibility=public
    /srv/git/acme/billing.git         name=acme/billing

A repository is called by its host and path, a folder by its own name and that of the folder it is in. What else is in
a URL, a user or a token, is for git alone: it stands in no name and in no message.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from codesearch.errors import UsageError
from codesearch.fleet.failures import safe
from codesearch.regular import opened

PRIVATE: Final = "private"
"""Visibility where none is said."""

_SCP: Final = re.compile(r"(?:[^@/\s]+@)?([\w.-]+):(?!:|//)(.+)")
_SCHEMES: Final = frozenset({"https", "http", "ssh", "git", "file"})
_NAME: Final = re.compile(r"[\w.+@-]+(/[\w.+@-]+)*")
_KEYS: Final = ("name", "revision", "visibility")
_MAX_BYTES: Final = 64 << 20
"""Of a file of sources; a hundred thousand of them take 10 MB."""


@dataclass(frozen=True, slots=True)
class Source:
    """One repository or folder, wherever it is."""

    url: str = field(repr=False)
    """As git takes it, maybe with a token in it; a folder's path is absolute."""
    name: str
    revision: str = "HEAD"
    visibility: str = PRIVATE

    @property
    def owner(self) -> str:
        """Whom it belongs to: its name without its last part, and without a host."""
        above = self.name.split("/")[:-1]
        return "/".join(above[1:] if len(above) > 1 and "." in above[0] else above)


def sources(words: Iterable[str], visibility: str = PRIVATE) -> list[Source]:
    """Return what WORDS name, of VISIBILITY unless they say: URLs, folders, and files with a list of such.

    Raises:
        UsageError: a word names nothing, a list can not be read, or two sources have one name.
    """
    found: dict[str, Source] = {}
    for place, said in _lines(words):
        source = _source(said, visibility, place)
        if (other := found.setdefault(source.name, source)) != source:
            raise UsageError(
                f"{place}{safe(source.url)} and {safe(other.url)} are both called {source.name}. "
                "Give one a name of its own, as in 'URL name=acme/shop' on a line of a file of sources."
            )
    return list(found.values())


def _lines(words: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    for word in words:
        file = Path(word)
        if not file.is_file():
            yield "", [word]
            continue
        try:
            with opened(file) as held:
                text = held.read(_MAX_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{word} can not be read: {error}. Give a text file with one source a line.") from error
        for number, line in enumerate(text.splitlines(), 1):
            try:
                if said := shlex.split(line, comments=True):
                    yield f"{word}:{number}: ", said
            except ValueError as error:
                raise UsageError(f"{word}:{number}: {error}. Quote paths as in a shell.") from error


def _source(said: list[str], visibility: str, place: str) -> Source:
    url, *rest = said
    known = {"visibility": visibility}
    for word in rest:
        key, equals, value = word.partition("=")
        if key not in _KEYS or not equals or not value:
            raise UsageError(f"{place}{word} says nothing of a source. Known are {', '.join(f'{k}=…' for k in _KEYS)}.")
        known[key] = value
    folder = Path(url)
    if folder.is_dir():
        folder = folder.resolve()
        url, name = str(folder), "/".join(folder.parts[-2:]).removesuffix(".git")
    else:
        name = _called(url, place)
    source = Source(url, **{"name": name, **known})
    if not _NAME.fullmatch(source.name) or source.revision.startswith("-"):
        raise UsageError(f"{place}{source.name!r} can not be a name. Give one of letters, digits, '.-_+@' and '/'.")
    return source


def _called(url: str, place: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in _SCHEMES and parts.path.strip("/"):
        host, path = parts.hostname or "", parts.path
    elif scp := _SCP.fullmatch(url):
        host, path = scp[1], scp[2]
    else:
        raise UsageError(
            f"{place}{safe(url)} is neither a folder nor the URL of a git repository. "
            "Give one that begins with https, ssh, git or file, or user@host:path."
        )
    return "/".join(filter(None, (host, path.strip("/").removesuffix(".git"))))
