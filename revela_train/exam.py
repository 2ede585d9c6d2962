"""Questions with known answers, asked of a retriever by itself while it is trained or exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from codesearch.encode import HEADING
from codesearch.eval.heldout import Asked
from codesearch.text import document, heading
from codesearch.types import Chunk, Encoder

QUESTIONS: Final = 100
"""At most; each brings its answers."""
OTHERS: Final = 300
"""Chunks that are no answers, at most: a transformer may read but ten a second."""
_TOP: Final = 10


@dataclass(frozen=True, slots=True)
class Exam:
    """What is asked, of which chunks, and which of those are right."""

    questions: tuple[str, ...]
    documents: tuple[str, ...]
    headings: tuple[str, ...]
    right: tuple[tuple[int, ...], ...]
    """For each question, the documents that answer it."""

    @classmethod
    def of(cls, asked: Sequence[Asked], chunks: Sequence[Chunk], *, others: int = OTHERS) -> Self:
        """Return the first of what is ASKED about CHUNKS, among the chunks that answer it and OTHERS."""
        asked = asked[:QUESTIONS]
        answers = answered(asked, chunks)
        step = max(1, len(chunks) // max(others, 1))
        kept = sorted({i for found in answers for i in found} | set(range(0, len(chunks), step)))
        at = {i: number for number, i in enumerate(kept)}
        return cls(
            tuple(one.sentence for one in asked),
            tuple(document(chunks[i]) for i in kept),
            tuple(heading(chunks[i]) for i in kept),
            tuple(tuple(at[i] for i in found) for found in answers),
        )

    @classmethod
    def joined(cls, exams: Sequence[Self]) -> Self:
        """Return EXAMS as one: what is asked of each is looked for in all."""
        before = np.cumsum([0, *(len(one.documents) for one in exams)]).tolist()
        return cls(
            tuple(asked for one in exams for asked in one.questions),
            tuple(text for one in exams for text in one.documents),
            tuple(text for one in exams for text in one.headings),
            tuple(
                tuple(i + start for i in right)
                for one, start in zip(exams, before[:-1], strict=True)
                for right in one.right
            ),
        )

    def ranks(self, encoder: Encoder) -> NDArray[np.int64]:
        """Return the rank, from 1, of the first right document of each question."""
        held = encoder.encode(self.documents, "passage") + HEADING * encoder.encode(self.headings, "passage")
        held /= np.maximum(np.linalg.norm(held, axis=1, keepdims=True), 1e-12)
        scores = encoder.encode(self.questions, "query") @ held.T  # (questions, documents)
        best = np.array([row[list(right)].max() for row, right in zip(scores, self.right, strict=True)])
        found: NDArray[np.int64] = (scores >= best[:, None]).sum(1)
        return found

    def mrr(self, encoder: Encoder) -> float:
        """Return the mean reciprocal rank; 0 without questions."""
        return float((1 / self.ranks(encoder)).mean()) if self.questions else 0.0

    def ndcg(self, encoder: Encoder) -> float:
        """Return the mean nDCG@10, one answer a question counting; 0 without questions."""
        if not self.questions:
            return 0.0
        ranks = self.ranks(encoder)
        return float(np.where(ranks <= _TOP, 1 / np.log2(1 + ranks), 0).mean())


def answered(asked: Sequence[Asked], chunks: Sequence[Chunk]) -> list[list[int]]:
    """Return, for each that is ASKED, which of CHUNKS are right."""
    of_file: dict[str, list[int]] = {}
    for i, one in enumerate(chunks):
        of_file.setdefault(one.path, []).append(i)

    def answers(one: Asked) -> list[int]:
        files = {path for path, _ in one.places}
        return [i for path in files for i in of_file[path] if one.answered_by(path, chunks[i].span)]

    return list(map(answers, asked))
