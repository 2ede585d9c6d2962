"""The code of a repository as a store of many has it: its files, and its chunks without what is asked about.

A store keeps the source of each chunk, by its lines, so its files are there but for the end of lines of more than ten
thousand characters. A path of a stranger's is one until it has been looked at. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from codesearch.chunk import chunk
from codesearch.eval.docstrings import documented, without
from codesearch.eval.heldout import Asked
from codesearch.fleet.schema import lines_of
from codesearch.parsing import TIME_LIMIT
from codesearch.text import words
from codesearch.types import Chunk

if TYPE_CHECKING:
    from codesearch.fleet.store import FleetStore


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file."""

    path: str
    text: str
    parsed: bool
    """Whether it is cut at definitions or headings. One that is not may have been too much for the parser, and is not
    given to it again: what its comments say of it as a whole is all that is lost."""


def files_of(store: FleetStore, repository: str) -> Iterator[StoredFile]:
    """Yield the files of REPOSITORY, by their paths."""
    rows = sorted(store.code(repository).to_pylist(), key=itemgetter("path", "start_line"))
    for path, its in groupby(rows, key=itemgetter("path")):
        chunks = list(its)
        lines = lines_of((row["start_line"], row["text"]) for row in chunks)
        yield StoredFile(path, "\n".join([*lines, ""]), any(row["symbol"] for row in chunks))


def restore(store: FleetStore, repository: str, root: Path) -> list[str]:
    """Write the files of REPOSITORY below ROOT, in a folder of its name; return the paths of those that can not be."""
    left_out = []
    for file in files_of(store, repository):
        path = PurePosixPath(repository.replace("/", "+"), file.path)
        try:
            if path.is_absolute() or ".." in path.parts:
                raise OSError("outside")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(file.text.encode("utf-8", "surrogatepass"))
        except (OSError, ValueError):  # or a name that this file system does not have
            left_out.append(file.path)
    return left_out


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What is asked, and so must be said nowhere that is learnt from, be it in a copy."""

    told: frozenset[str]
    """The words of each sentence, between blanks."""
    words: tuple[frozenset[str], ...]
    """Those of each as a set: where they are not all there, nor is the sentence, whatever stands between them."""

    @classmethod
    def of(cls, asked: Iterable[Asked]) -> Self:
        """Return what must not be said of ASKED."""
        told = sorted({one.told for one in asked})
        return cls(frozenset(told), tuple(frozenset(one.split()) for one in told))

    @property
    def digest(self) -> str:
        """What stands for all of it."""
        return blake2b("\n".join(sorted(self.told)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def chunks(self, files: Iterable[StoredFile]) -> Iterator[Chunk]:
        """Yield the chunks of FILES, file after file, without the documentation of what is asked about."""
        for file in files:
            its = set(words(file.text))
            said = any(one <= its for one in self.words)
            text = self._less(file) if said and file.parsed else file.text
            for one in chunk(file.path, text, time_limit=TIME_LIMIT if file.parsed else 0):
                if not (said and self._tells(one.text)):
                    yield one

    def _less(self, file: StoredFile) -> str:
        places = [place for one in documented(file.path, file.text) if one.told in self.told for place in one.places]
        left = without(file.text.encode("utf-8", "surrogatepass"), places)
        return left.decode("utf-8", "surrogatepass")

    def _tells(self, text: str) -> bool:
        its = f" {' '.join(words(text))} "
        return any(one in its for one in self.told)
