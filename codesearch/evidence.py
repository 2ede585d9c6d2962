"""The figures that rank: what speaks for each candidate, worked out from the index alone, each between about 0 and 1.

LanceDB and the vectors give candidates; what counts for them is computed here, from statistics that the manifest keeps
exactly, so an index that grew file by file ranks as one built afresh. Most figures are about a file, because what
people look for is seldom in one function: all chunks of the candidates' files are read, and those figures are shared.

Figures of different kinds can not be compared from question to question (a cosine of .4 may be much or little), so
those that come from all the words of a question are *relative*: the best candidate has 1. BM25 is that of Robertson and
Zaragoza, "The Probabilistic Relevance Framework" (2009), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Final

import numpy as np

from codesearch.corpus import Asked
from codesearch.rank import by_file
from codesearch.roles import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from codesearch.corpus import Corpus, FileNames
    from codesearch.question import Question

_K1: Final = 1.2
_B: Final = 0.75
"""BM25's usual parameters: how fast repetition stops to count, and how much length is held against a text."""
_WITHIN: Final = 0.25
"""How much later parts of a definition are it: who asks for a name wants the place where it begins."""
_NEAREST: Final = 3
"""Chunks whose similarity speaks for a file: one may be chance, and a long file has many."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of some chunks and their files; rows of both are in order of path and line."""

    positions: NDArray[np.intp]
    """Shape (chunks,): where in the mirror each chunk is."""
    file_of: NDArray[np.intp]
    """Shape (chunks,): index into `files`."""
    files: NDArray[np.intp]
    """Shape (files,): index into the mirror's paths."""
    of_chunk: Mapping[str, NDArray[np.float64]]
    """Figures by name, each of shape (chunks,)."""
    of_file: Mapping[str, NDArray[np.float64]]
    """Figures by name, each of shape (files,)."""
    similarity: float
    """Largest cosine of any chunk, 0 where vectors were not asked."""
    coverage: float
    """Largest share of the question that one file has, by how rare each term is; unknown ones are the rarest."""
    known: float
    """Share of the question that the index knows, by the same measure."""
    named: float
    """Largest share of the question that the names of one file and its definitions have."""
    certain: bool
    """Whether the question is the name of a definition, or names a file."""


def gather(
    corpus: Corpus,
    known: Mapping[str, tuple[int, int]],
    question: Question,
    candidates: NDArray[np.intp],
    similarities: NDArray[np.float32] | None,
) -> Evidence:
    """Return what speaks for all chunks of the files of CANDIDATES, positions in the mirror.

    KNOWN are the statistics of the whole corpus, of which the mirror may hold a part: how many chunks and files hold
    each of what is `counted` of the question, where any do. SIMILARITIES, shape (len(mirror),), are the cosines of
    every chunk's vector and the question's, None to do without.
    """
    mirror = corpus.mirror
    found = np.flatnonzero(np.bincount(mirror.path_of[candidates]))
    files = np.array(sorted(found.tolist(), key=mirror.paths.__getitem__), np.intp)
    positions, lengths = corpus.rows(files)
    file_of = np.repeat(np.arange(len(files)), lengths)
    starts = np.cumsum(lengths) - lengths

    of_chunk: dict[str, NDArray[np.float64]] = {}
    of_file: dict[str, NDArray[np.float64]] = {}
    similarity = 0.0
    if similarities is not None and len(files):
        near = np.maximum(similarities[positions].astype(np.float64), 0)
        similarity = float(near.max())
        of_chunk["nearest"] = _relative(near)
        of_file["meaning"] = _relative(
            np.maximum(np.add.reduceat(similarities[positions].astype(np.float64), starts), 0)
            / np.maximum(corpus.pulls(files), 1e-9)
        )
        of_file["near chunks"] = _relative(_mean_of_largest(near, file_of, starts, lengths))
    else:
        of_chunk["nearest"] = np.zeros(len(positions))
        of_file["meaning"] = of_file["near chunks"] = np.zeros(len(files))

    words = _Words(corpus, known, question, files, positions, starts)
    of_chunk |= words.of_chunk
    of_file |= words.of_file
    names = corpus.names(files)
    of_chunk["whole name"], called = _of_names(corpus, question, candidates, positions, names, words.weights)
    of_file |= {name: called[name] for name in ("whole file name", "folder")}
    of_file |= {name: _relative(called[name]) for name in ("names", "file name")}
    of_file |= _of_definitions(question, names)
    of_file["size"] = np.log(np.maximum(lengths, 1))
    roles = np.fromiter((one.roles for one in names), np.intp)
    for bit, role in enumerate(Role):
        of_file[role] = (roles >> bit & (role not in question.wanted)).astype(np.float64)

    parts = mirror.parts[positions]
    of_chunk["continuation"] = (parts > 0).astype(np.float64)
    of_chunk["definition"] = np.where(parts > 0, _WITHIN, 1.0) * _definitions(corpus, question, positions)
    of_chunk["line"], of_file["path"] = _places(corpus, question, positions, files, file_of)
    return Evidence(
        positions=positions,
        file_of=file_of,
        files=files,
        of_chunk=of_chunk,
        of_file=of_file,
        similarity=similarity,
        coverage=words.coverage,
        known=words.known,
        named=float(called["names"].max(initial=0)),
        certain=bool((of_chunk["definition"] == 1).any() or of_file["path"].any()),
    )


def _relative(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = figures.max(initial=0)
    return figures / largest if largest > 0 else np.zeros_like(figures)


def _any(flags: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.maximum.reduceat(flags, starts) if len(starts) else np.zeros(0)


def _mean_of_largest(
    values: NDArray[np.float64], file_of: NDArray[np.intp], starts: NDArray[np.intp], lengths: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the mean of each file's largest VALUES, at most _NEAREST of them."""
    ordered = values[by_file(values, file_of)]
    total = np.zeros(len(starts))
    for n in range(_NEAREST):
        has = lengths > n
        total[has] += ordered[starts[has] + n]
    return total / np.minimum(lengths, _NEAREST)


class _Words:
    """What the terms of a question say of chunks and files."""

    def __init__(
        self,
        corpus: Corpus,
        known: Mapping[str, tuple[int, int]],
        question: Question,
        files: NDArray[np.intp],
        positions: NDArray[np.intp],
        starts: NDArray[np.intp],
    ) -> None:
        mirror = corpus.mirror
        chunks, every = corpus.chunks, corpus.files
        terms = question.terms
        rarity = {t: _rarity(known.get(t, (0, 0))[0], chunks) for t in terms}
        self.weights = {t: _rarity(known.get(t, (0, 0))[1], every) for t in terms}
        """How rare each term is among files."""

        sizes = mirror.sizes[positions]
        said = corpus.said(files, starts, len(positions))
        in_chunk = np.zeros(len(positions))
        held = np.zeros(len(positions))
        in_file = np.zeros(len(starts))
        covered = np.zeros(len(starts))
        told = np.zeros(len(positions))
        chunk_length = _K1 * (1 - _B + _B * sizes / corpus.mean_size)
        file_sizes = np.add.reduceat(sizes, starts) if len(starts) else np.zeros(0)
        file_length = _K1 * (1 - _B + _B * file_sizes / corpus.mean_file_size)
        for term in terms:
            if term in known:
                count, documented = said.count(term)
                in_chunk += rarity[term] * count / (count + chunk_length)
                held += rarity[term] * (count > 0)
                told[documented] += rarity[term]  # each once
                of_file = np.add.reduceat(count, starts) if len(starts) else count
                in_file += self.weights[term] * of_file / (of_file + file_length)
                covered += self.weights[term] * (of_file > 0)
        phrases = np.zeros(len(starts))
        for phrase in question.phrases:
            times = sum((said.count(c)[0] for c in phrase if c in known), np.zeros(len(positions)))
            phrases += _any((times > 0).astype(np.float64), starts)

        total, file_total = sum(rarity.values()) or 1.0, sum(self.weights.values()) or 1.0
        self.coverage = float(covered.max(initial=0)) / file_total
        self.known = sum(rarity[term] for term in terms if term in known) / total
        self.of_chunk = {"words": _relative(in_chunk)}
        self.of_file = {
            "words": _relative(in_file),
            "coverage": _relative(covered),
            "opening": held[starts] / total,
            "doc": _any(told, starts) / total,
            "phrase": phrases / max(len(question.phrases), 1),
        }


def _rarity(n: int, of: int) -> float:
    """Return the inverse document frequency of a term that N of so many texts have."""
    return log(1 + (of - n + 0.5) / (n + 0.5))


def _of_names(
    corpus: Corpus,
    question: Question,
    candidates: NDArray[np.intp],
    positions: NDArray[np.intp],
    names: list[FileNames],
    weights: Mapping[str, float],
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return how much of the names of chunks, and what of those of files and folders, the question says."""
    # Chunks that are no candidates have nothing of the question, so neither have their names.
    is_candidate = np.zeros(len(corpus.mirror), np.bool_)
    is_candidate[candidates] = True
    rows = np.flatnonzero(is_candidate[positions])
    symbols = corpus.symbols(positions[rows])
    asked = Asked(corpus.vocabulary, question.terms)  # when all their names are in it

    stems = np.fromiter((one.stem for one in names), np.intp)
    folders = np.fromiter((one.folder for one in names), np.intp)
    every = np.fromiter((one.all for one in names), np.intp)
    files = len(names)
    shares = asked.shares(np.concatenate([stems, folders, symbols]))
    recall = asked.recall(np.concatenate([every, stems]), weights)
    of_chunk = np.zeros(len(positions))
    of_chunk[rows] = shares[2 * files :]
    return of_chunk, {
        "whole file name": shares[:files],
        "folder": shares[files : 2 * files],
        "names": recall[:files],
        "file name": recall[files:],
    }


def _of_definitions(question: Question, names: list[FileNames]) -> dict[str, NDArray[np.float64]]:
    """Return which files are called by a word of the question, and which define the names that it mentions."""
    name = "".join(question.name[-1:]).lower()
    words, mentioned = question.words, question.names
    squeezed = question.text.lower().replace(" ", "").replace("_", "")  # its words written together
    shared = np.fromiter((len(mentioned & one.defined) for one in names), np.float64)
    return {
        "named word": np.fromiter((one.word in words or one.squeezed == squeezed for one in names), np.float64),
        "identifiers": shared / max(len(mentioned), 1),
        "defines": np.fromiter((bool(name) and name in one.lowered for one in names), np.float64),
    }


def _definitions(corpus: Corpus, question: Question, positions: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return 1 for chunks that define the name that is asked for, a half where they qualify it further."""
    figures = np.zeros(len(positions))
    if question.name:
        wanted = [part.lower() for part in question.name]
        at = {int(position): i for i, position in enumerate(positions)}
        for row in corpus.defining(wanted[-1]):
            if (i := at.get(row)) is not None:
                figures[i] = _agreement(corpus.mirror.symbols[row].lower().split("."), wanted)
    return figures


def _agreement(symbol: list[str], wanted: list[str]) -> float:
    if symbol == wanted:
        return 1.0
    return 0.5 if symbol[-len(wanted) :] == wanted or len(wanted) == 1 else 0.25


def _places(
    corpus: Corpus, question: Question, positions: NDArray[np.intp], files: NDArray[np.intp], file_of: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 1 for chunks that hold a line, and for files, that the question names."""
    lines, paths = np.zeros(len(positions)), np.zeros(len(files))
    for place in question.places:
        named = np.isin(files, corpus.at(place.path))
        paths[named] = 1
        if place.line is not None and named.any():
            first, last = (
                np.asarray(corpus.mirror.columns[name].take(positions).to_numpy())
                for name in ("start_line", "end_line")
            )
            lines[named[file_of] & (first <= place.line) & (place.line <= last)] = 1
    return lines, paths
