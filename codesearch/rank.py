"""Evidence in, a ranking out: one table of weights, a sum for every chunk, and a page that is not all one file.

The sum is linear, so it can be explained: each part of it has a name, and `ask --explain` prints the parts that were
really added. The weights were fitted on judged questions by `python -m tests.relevance.fit`, which also says how they
do on repositories that they were not fitted to; they know no language, repository or question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from codesearch.evidence import Evidence
    from codesearch.types import Encoder


class Weight(NamedTuple):
    """What one kind of evidence is worth, and why it is worth anything."""

    value: float
    reason: str


class Weights(NamedTuple):
    """What evidence of chunks and of files is worth, by name."""

    chunk: Mapping[str, Weight]
    file: Mapping[str, Weight]


CHUNK: Final[Mapping[str, Weight]] = {
    "nearest": Weight(0.95, "its vector is near the question's"),
    "words": Weight(1.41, "it has the question's words, the rare ones above all"),
    "whole name": Weight(0.93, "the question says all of its name"),
    "definition": Weight(2.00, "it defines the name that is the question"),
    "continuation": Weight(0.20, "it is within a long definition, where the work is done"),
    "line": Weight(3.00, "the question names a line of it, as a stack trace does"),
}
"""What speaks for a chunk."""

FILE: Final[Mapping[str, Weight]] = {
    "meaning": Weight(1.51, "what it is about as a whole is near the question"),
    "near chunks": Weight(1.26, "several of its chunks are near the question"),
    "words": Weight(0.66, "it has the question's words, the rare ones above all"),
    "coverage": Weight(0.67, "it has many of the question's words at least once"),
    "opening": Weight(0.55, "its beginning, where its subject is said, has the question's words"),
    "doc": Weight(0.30, "the documentation of one of its definitions has the question's words"),
    "phrase": Weight(0.58, "it has a name made of neighbouring words of the question"),
    "file name": Weight(0.92, "its name says much of the question"),
    "whole file name": Weight(1.36, "the question says all of its name"),
    "named word": Weight(0.41, "its name is a word of the question"),
    "folder": Weight(0.83, "the question says its folder's name"),
    "names": Weight(1.14, "its path and definitions are called what the question says"),
    "identifiers": Weight(0.62, "it defines the identifiers that the question mentions"),
    "defines": Weight(1.20, "it defines the name that is the question"),
    "path": Weight(3.00, "the question names it, as a stack trace does"),
    "size": Weight(0.49, "much of the repository is in it (by the logarithm of its chunks)"),
    "index": Weight(0.44, "it stands for its folder"),
    "test": Weight(-2.74, "it tests what is looked for, and tests were not asked for"),
    "example": Weight(-1.22, "it uses what is looked for, and examples were not asked for"),
    "documentation": Weight(-2.03, "it tells of what is looked for, and documentation was not asked for"),
    "internal": Weight(-0.67, "it is kept for compatibility, or marked as a detail"),
    "vendored": Weight(-2.00, "it is a copy of another project's code, and that was not asked for"),
    "stub": Weight(-1.00, "it declares types of what is defined elsewhere, and they were not asked for"),
}
"""What speaks for a file, and so for each of its chunks."""

ADAPTED_CHUNK: Final[Mapping[str, Weight]] = {**CHUNK, "nearest": CHUNK["nearest"]._replace(value=2.00)}
ADAPTED_FILE: Final[Mapping[str, Weight]] = {
    **FILE,
    "meaning": FILE["meaning"]._replace(value=0.80),
    "near chunks": FILE["near chunks"]._replace(value=0.90),
}
"""The same where the retriever was adapted to the repository: its vectors have learnt what things are called there, so
as a whole a file has that said of it twice, by its names too, while the one chunk that is nearest is surer to be it."""

CONTEXTUAL_CHUNK: Final[Mapping[str, Weight]] = {**CHUNK, "nearest": CHUNK["nearest"]._replace(value=3.00)}
CONTEXTUAL_FILE: Final[Mapping[str, Weight]] = {
    **FILE,
    "meaning": FILE["meaning"]._replace(value=1.50),
    "near chunks": FILE["near chunks"]._replace(value=2.70),
}
"""The same where a transformer reads a chunk as a whole, adapted or not: it says what words do not, and even what is
unlike has a cosine that is not small, so that a difference between two is worth more."""

MORE: Final = Weight(-3.25, "better chunks of its file come before it")
"""For the square root of how many: a page is for finding the place, so a file's second chunk must be much better than
another file's best, its third a little more so. Judged questions, which count a file once, want it larger; functions
found by their documentation want it smaller."""

VECTORS: Final = frozenset({("chunk", "nearest"), ("file", "meaning"), ("file", "near chunks")})
"""The evidence that comes of vectors."""

SHIPPED: Final = Weights(CHUNK, FILE)
ADAPTED: Final = Weights(ADAPTED_CHUNK, ADAPTED_FILE)
CONTEXTUAL: Final = Weights(CONTEXTUAL_CHUNK, CONTEXTUAL_FILE)

_FILE_PREFIX: Final = "file: "
_MORE_NAME: Final = "more of its file"

_DECIMALS: Final = 6
"""Scores are compared to so many; what differs less is a matter of rounding in the matrix product."""


def weights(encoder: Encoder) -> Weights:
    """Return what evidence is worth where ENCODER makes the vectors."""
    if encoder.contextual:
        return CONTEXTUAL
    return ADAPTED if encoder.adapted else SHIPPED


def totals(
    evidence: Evidence, chunk: Mapping[str, Weight] = CHUNK, file: Mapping[str, Weight] = FILE
) -> NDArray[np.float64]:
    """Return the sum of what speaks for each chunk, shape (chunks,), before anything is said of the page."""
    of_chunk, of_file = np.zeros(len(evidence.positions)), np.zeros(len(evidence.files))
    for name, weight in chunk.items():
        of_chunk += weight.value * evidence.of_chunk[name]
    for name, weight in file.items():
        of_file += weight.value * evidence.of_file[name]
    return np.round(of_chunk + of_file[evidence.file_of], _DECIMALS)


def by_file(values: NDArray[np.float64], file_of: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the order by file, and in each from the largest of VALUES; the same ones keep theirs."""
    order = np.argsort(-values, kind="stable")
    narrow = np.min_scalar_type(int(file_of.max(initial=0)))  # sorts by radix, in a fraction of `lexsort`
    return order[np.argsort(file_of[order].astype(narrow), kind="stable")]


def page(
    scores: NDArray[np.float64], file_of: NDArray[np.intp], more: float = MORE.value
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the chunks in the order of a page, and for each how many of its file stand before it.

    A chunk is held back by MORE for the square root of the number of better chunks of its file. Where that leaves two
    the same, they keep the order in which they came.
    """
    order = by_file(scores, file_of)
    chunks = np.bincount(file_of)
    before = np.empty(len(scores), np.intp)
    before[order] = np.arange(len(scores)) - (np.cumsum(chunks) - chunks)[file_of[order]]
    place = np.argsort(-np.round(scores + more * np.sqrt(before), _DECIMALS), kind="stable")
    return place, before[place]


def reasons(
    evidence: Evidence,
    at: int,
    before: int,
    chunk: Mapping[str, Weight] = CHUNK,
    file: Mapping[str, Weight] = FILE,
) -> tuple[tuple[str, float], ...]:
    """Return the parts of the score of the chunk AT, with BEFORE better chunks of its file, as they are added up."""
    its_file = evidence.file_of[at]
    parts = [(name, weight.value * float(evidence.of_chunk[name][at])) for name, weight in chunk.items()]
    parts += [
        (f"file: {name}", weight.value * float(evidence.of_file[name][its_file])) for name, weight in file.items()
    ]
    parts.append((_MORE_NAME, MORE.value * float(np.sqrt(before))))
    return tuple((name, value) for name, value in parts if value)


def reason(name: str) -> str:
    """Return why the part of a score called NAME is worth anything."""
    if name == _MORE_NAME:
        return MORE.reason
    is_of_file = name.startswith(_FILE_PREFIX)
    return (FILE if is_of_file else CHUNK)[name.removeprefix(_FILE_PREFIX)].reason
