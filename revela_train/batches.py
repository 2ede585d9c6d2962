"""Pairs for contrastive training, drawn by a generator whose state is a step number.

Three kinds, all from our own chunker's output: doc comment → function, path and symbol → body, half of a body → the
other half; within one repository a fourth, test → what it tests. Batch `step` depends on the seed and the step alone,
so a resumed run sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from revela_train.config import PretrainConfig
from revela_train.corpus import Pieces

Sequence = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Bags:
    """B texts laid end to end: `pieces[offsets[i]:offsets[i + 1]]`, the last one to the end."""

    pieces: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: list[Sequence]) -> Bags:
        """Pack ROWS."""
        lengths = np.array([len(r) for r in rows], np.int64)
        return cls(np.concatenate([*rows, np.empty(0, np.uint16)]).astype(np.int64), np.cumsum(lengths) - lengths)

    def rows(self) -> list[Sequence]:
        """Return the texts one by one."""
        return np.split(self.pieces.astype(np.uint16), self.offsets[1:])


@dataclass(frozen=True, slots=True)
class PairBatch:
    """B queries with their passages; `body` names the chunk, so that one chunk drawn twice is not its own negative."""

    queries: Bags
    passages: Bags
    body: NDArray[np.int64]


class PairSampler:
    """Draws batches of pairs from a corpus."""

    def __init__(
        self,
        corpus: Pieces,
        config: PretrainConfig,
        rows: NDArray[np.int64] | None = None,
        links: NDArray[np.int64] | None = None,
        link_share: float = 0.0,
    ) -> None:
        """Draw from ROWS of CORPUS, or from all; LINK_SHARE of the pairs from LINKS (M, 2), rows of test and tested."""
        self._corpus, self._config = corpus, config
        self._links = links if links is not None and len(links) else None
        self._link_share = link_share if self._links is not None else 0.0
        rows = np.arange(len(corpus.repository)) if rows is None else rows
        rows = rows[np.diff(corpus.body.offsets)[rows] >= 8]
        documented = np.diff(corpus.doc.offsets)[rows] >= 3
        repository = corpus.repository[rows]
        self._all = [rows[repository == r] for r in range(len(corpus.repositories))]
        self._documented = [rows[(repository == r) & documented] for r in range(len(corpus.repositories))]
        # Square root: large repositories are seen more, but do not drown the others. Those smaller than their place in
        # a batch would be drawn twice in it and are left out.
        place = config.batch // config.repositories_a_batch
        size = np.sqrt([len(r) if len(r) >= place else 0 for r in self._all])
        self._share = size / size.sum()

    def __call__(self, step: int) -> PairBatch:
        """Return batch STEP."""
        config = self._config
        rng = np.random.default_rng((config.seed, step))
        drawn = rng.choice(len(self._share), config.repositories_a_batch, p=self._share)
        each = config.batch // config.repositories_a_batch
        queries, passages, bodies = [], [], []
        for r in drawn:
            for kind in rng.random(each):
                if self._links is not None and rng.random() < self._link_share:
                    test, row = self._links[rng.integers(len(self._links))].tolist()
                    queries.append(self._bag(self._body(test, rng)))
                    passages.append(self._bag(self._body(row, rng)))
                    bodies.append(row)
                    continue
                documented = kind < config.doc_share and len(self._documented[r]) > 0
                pool = self._documented[r] if documented else self._all[r]
                row = int(pool[rng.integers(len(pool))])
                if documented:
                    query, passage = self._doc_pair(row, rng)
                elif kind < config.doc_share + config.name_share:
                    query, passage = self._name_pair(row, rng)
                else:
                    query, passage = self._halves(row, rng)
                queries.append(self._bag(query))
                passages.append(self._bag(passage))
                bodies.append(row)
        return PairBatch(Bags.of(queries), Bags.of(passages), np.array(bodies))

    def _bag(self, sequence: Sequence) -> Sequence:
        if not len(sequence):
            return np.zeros(1, np.uint16)
        return np.unique(sequence) if self._config.unique else sequence

    def _body(self, row: int, rng: np.random.Generator) -> Sequence:
        body = self._corpus.body[row]
        spare = len(body) - self._config.longest_passage
        start = int(rng.integers(spare)) if spare > 0 else 0
        return body[start : start + self._config.longest_passage]

    def _doc_pair(self, row: int, rng: np.random.Generator) -> tuple[Sequence, Sequence]:
        """Doc comment → heading and body. Questions are short: half of the time a few words of it must do."""
        doc = self._corpus.doc[row][:64]
        if rng.random() < 0.5:
            few = int(rng.integers(2, 8))
            if len(doc) > few:
                doc = doc[np.sort(rng.choice(len(doc), few, replace=False))]
        body = self._body(row, rng)
        if rng.random() < 0.7:
            body = np.concatenate((self._corpus.path[row], self._corpus.symbol[row], body))
        return doc, body

    def _name_pair(self, row: int, rng: np.random.Generator) -> tuple[Sequence, Sequence]:
        """Path, symbol or both → body alone."""
        path, symbol = self._corpus.path[row], self._corpus.symbol[row]
        which = rng.random()
        if not len(symbol) or which < 0.25:
            name = path
        elif which < 0.6:
            name = symbol
        else:
            name = np.concatenate((path, symbol))
        return name, self._body(row, rng)

    def _halves(self, row: int, rng: np.random.Generator) -> tuple[Sequence, Sequence]:
        """One half of a body → the other half with its heading, half of the time."""
        body = self._body(row, rng)
        cut = int(len(body) * rng.uniform(0.3, 0.7))
        halves = [body[:cut], body[cut:]]
        if rng.random() < 0.5:
            halves.reverse()
        if rng.random() < 0.5:
            halves[1] = np.concatenate((self._corpus.path[row], self._corpus.symbol[row], halves[1]))
        return halves[0], halves[1]
