"""The words the whole program speaks: Chunk, Span, Hit, Encoder and the reasons an index is stale.

Standard library only, and nothing here imports another room: every other module imports this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Kind(StrEnum):
    """What a chunk is."""

    FUNCTION = "function"
    METHOD = "method"
    CLASS = "class"
    """The outline of a class, interface, trait, struct, enum, namespace or module: its lines that no member holds."""
    MODULE = "module"
    """Left-over code between definitions: imports, constants, statements at top level."""
    SECTION = "section"
    """A Markdown heading with the text below it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of a file, 1-based, both ends included."""

    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One searchable piece of one file.

    The texts of a file's chunks, joined in order, are the file's decoded text: nothing is lost, nothing occurs twice.
    """

    path: str
    """Relative to the root, with forward slashes."""
    language: str
    kind: Kind
    symbol: str
    """Qualified name, parts joined by '.': `Session.get`; headings joined by ' > '; empty for left-over code."""
    signature: str
    """The definition's header on one line, without its body; empty for left-over code and sections."""
    doc: str
    """Doc comment or docstring, comment markers stripped; empty when there is none."""
    text: str
    """The source exactly as it stands in the file."""
    span: Span
    part: int = 0
    """Which part of a long definition this is, from 0. Later parts are embedded with the signature repeated."""
    parts: int = 1


class Row(NamedTuple):
    """A chunk as the index keeps it: without its source, which is read from the file when an answer is shown.

    A named tuple, because a hundred thousand of them travel between processes and turn into columns.
    """

    digest: bytes
    """Digest of what is embedded (path, qualified name, source), 16 bytes; moving lines does not change it."""
    copy: int
    """Number among exact copies within the file, from 0."""
    path: str
    language: str
    kind: str
    symbol: str
    start_line: int
    end_line: int
    part: int
    terms: str = ""
    """Terms of what is embedded, joined by spaces, those of its documentation last; empty where they were not asked
    for."""

    @property
    def id(self) -> str:
        """The chunk's name for the world outside: unique in an index, and the same in one built afresh."""
        return f"{self.digest.hex()}-{self.copy}" if self.copy else self.digest.hex()

    @property
    def span(self) -> Span:
        """The chunk's lines."""
        return Span(self.start_line, self.end_line)


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers, with its score and the named reasons that add up to it."""

    id: str
    path: str
    span: Span
    language: str
    kind: Kind
    symbol: str
    score: float
    text: str = ""
    reasons: tuple[tuple[str, float], ...] = ()
    copies: tuple[str, ...] = ()
    """Where else nearly the same stands, each as `path:line`; it takes no row of its own."""
    repository: str = ""
    """In an index of many, which it is of; empty in that of a folder."""
    commit: str = ""
    """And as of which of its commits."""

    @property
    def key(self) -> str:
        """Its name among all hits: of two repositories in an index of many, either may have the same chunk."""
        return f"{self.repository}/{self.id}" if self.repository else self.id

    @property
    def place(self) -> str:
        """Its path, behind the repository's name in an index of many."""
        return f"{self.repository}/{self.path}" if self.repository else self.path


class Stale(StrEnum):
    """Why an index can not answer as it stands; FRESH is the reason not to."""

    FRESH = "fresh"
    MISSING = "missing"
    """There is none, or the one that is there is not ours."""
    FORMAT = "format"
    """Written by another version of the on-disk format."""
    DAMAGED = "damaged"
    """What was written is gone or was changed."""
    CHUNKER = "chunker"
    """The rules that cut or embed text have changed."""
    MODEL = "model"
    """The retriever has changed."""
    FILES = "files"
    """Files were added, changed or removed."""

    @property
    def answers(self) -> bool:
        """Whether there is an index that can be asked, if not one that knows the latest."""
        return self not in (Stale.MISSING, Stale.FORMAT, Stale.DAMAGED)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question got."""

    query: str
    state: Stale
    ms: float
    hits: tuple[Hit, ...]
    confidence: float = 1.0
    """How sure it is that anything here answers the query, from 0 to 1; below what was asked for there are no hits."""
    indexed: float = 1.0
    """How much of the files was searched, by bytes; less than 1 while the first index is being built."""


Role = Literal["query", "passage"]


class Encoder(Protocol):
    """Texts in, unit vectors out. Two exist: an ONNX bundle, and the retriever in training."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would."""
        ...

    @property
    def adapted(self) -> bool:
        """Whether it was trained on the repository that it searches."""
        ...

    @property
    def contextual(self) -> bool:
        """Whether it reads a text as a whole, and does not add up what its words say."""
        ...

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return one unit vector a text, shape (len(texts), dimensions); a text without any known piece gives zeros."""
        ...
