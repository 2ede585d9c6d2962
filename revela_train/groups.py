"""Groups of related documents, what Revela learns from: several documents of a few files, and some that do not belong.

A group has to give every document something to look at and something to leave alone: all of one file would leave
nothing to tell apart, all at random nothing to learn. So it is a few files, of one repository, with several documents
each, and distractors. A function and its documentation are two documents, or one that is asked for with what was said
of it (`GroupConfig.asked`). Group `step` depends on the seed and the step alone, so a resumed run sees what it would
have seen, and no two passes over a corpus group it alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from revela_train.batches import Bags
from revela_train.corpus import Pieces, Ragged

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """What a group is made of."""

    documents: int = 16
    """The paper's 16: half as many cost it 2 points on CoIR, a quarter 5."""
    clusters: int = 4
    """Files they come from, at most."""
    distractors: int = 2
    """Of the documents: of no cluster of the group."""
    longest: int = 64
    """Tokens of the LM that a document is cut to, from a random start: most are shorter, and all are padded to the
    longest of their group, whose square a step costs."""
    shortest: int = 5
    """Tokens below which a text is no document."""
    related: float = 0.5
    """How often the next cluster is one that belongs to the first, where any do; else it is of the repository."""
    asked: bool = False
    """Documents are code alone, each with a query of its own: the words that a person has for it. The LM reads those
    first, and answers for the code only. In the paper a document is its own query, which is not what people ask."""
    words: int = 16
    """Tokens of the LM that such a query is cut to."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Words:
    """What a person has for each of N documents: its doc comment or message, else its path and name."""

    pieces: Ragged
    tokens: Ragged
    """The same, for the LM."""


@dataclass(frozen=True, slots=True)
class Library:
    """N documents to draw groups from, each as the retriever and as the LM reads it."""

    pieces: Ragged
    """For the retriever."""
    tokens: Ragged
    """For the LM: the same words."""
    cluster: NDArray[np.int64]
    """(N,), the file that a document is from, or whatever else makes documents one."""
    repository: NDArray[np.int64]
    """(N,)."""
    row: NDArray[np.int64]
    """(N,), the chunk that a document is of."""
    code: NDArray[np.bool_]
    """(N,), which are a chunk's body; the others are its doc comment."""
    related: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Clusters that belong to a cluster: tests, imports, what it documents."""
    near: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Documents that are like a document in their words, and of another cluster: the hardest distractors."""
    words: Words | None = None
    """What they are asked for with; None where nobody will ask."""


def files_of(pieces: Pieces) -> NDArray[np.int64]:
    """Return a number for each row of PIECES, the same for chunks of one file: those whose paths are the same."""
    number: dict[tuple[int, bytes], int] = {}
    named = ((int(r), pieces.path[i].tobytes()) for i, r in enumerate(pieces.repository))
    return np.array([number.setdefault(name, len(number)) for name in named], np.int64)


def library(
    pieces: Pieces, tokens: Pieces, rows: NDArray[np.int64], files: NDArray[np.int64], *, asked: bool = False
) -> Library:
    """Return the documents of ROWS of a corpus: each body, and each doc comment by itself; a cluster a file.

    PIECES and TOKENS are one corpus in the retriever's and in the LM's vocabulary, row for row; FILES has the file of
    each row. If they are to be ASKED for, each comes with its words.
    """
    documents = [(i, name) for i in rows.tolist() for name in ("doc", "body") if len(getattr(tokens, name)[i])]
    of = np.array([i for i, _ in documents], np.int64)

    def texts(corpus: Pieces) -> Ragged:
        return Ragged.of([getattr(corpus, name)[i] for i, name in documents])

    def said(corpus: Pieces) -> Ragged:
        return Ragged.of([corpus.doc[i] if len(corpus.doc[i]) else _called(corpus, i) for i in of.tolist()])

    words = None
    if asked:
        words = Words(said(pieces), said(tokens))
    code = np.array([name == "body" for _, name in documents], np.bool_)
    repository = pieces.repository[of].astype(np.int64)
    return Library(texts(pieces), texts(tokens), files[of], repository, of, code, words=words)


def only(shelf: Library, keep: NDArray[np.bool_]) -> Library:
    """Return SHELF with the documents that KEEP (N,) says; the others are empty, so that numbers stay what they are."""

    def emptied(texts: Ragged) -> Ragged:
        return Ragged.of([texts[i] if keep[i] else texts[i][:0] for i in range(len(texts))])

    return replace(shelf, pieces=emptied(shelf.pieces), tokens=emptied(shelf.tokens))


def _called(corpus: Pieces, row: int) -> NDArray[np.uint16]:
    return np.concatenate((corpus.path[row], corpus.symbol[row]))


@dataclass(frozen=True)
class Group:
    """B documents, as both models read them."""

    bags: Bags
    """For the retriever: the distinct pieces of each."""
    tokens: Ragged
    """For the LM: the words that each is asked with, where it is, then the document."""
    rows: NDArray[np.int64]
    """Which documents of the library."""
    queries: Bags | None = None
    """What each is asked for with; None where each is its own query."""
    words: NDArray[np.int64] | None = None
    """(B,), how many of its tokens are what it is asked with, which have no loss; None where none is."""

    @cached_property
    def _padded(self) -> tuple[Tensor, Tensor]:
        from revela_train.lm import padded

        return padded([row.tolist() for row in self.tokens])

    @property
    def ids(self) -> Tensor:
        """(B, L), tokens for the LM, right-padded."""
        return self._padded[0]

    @property
    def mask(self) -> Tensor:
        """(B, L)."""
        return self._padded[1]

    @cached_property
    def counted(self) -> Tensor | None:
        """(B, L), which tokens have a loss; None for all."""
        if self.words is None:
            return None
        import torch

        return self.mask * (torch.arange(self.mask.shape[1]) >= torch.from_numpy(self.words)[:, None])


class GroupSampler:
    """Draws groups from a library."""

    def __init__(self, shelf: Library, config: GroupConfig) -> None:
        """Draw from what of SHELF is long enough."""
        self._shelf, self._config = shelf, config
        rows = np.flatnonzero(np.diff(shelf.tokens.offsets) >= config.shortest)
        rows = rows[np.diff(shelf.pieces.offsets)[rows] > 0]
        if config.asked:
            if shelf.words is None:
                raise ValueError("the library has no words to ask with")
            rows = rows[shelf.code[rows]]
        self._usable = np.zeros(len(shelf.cluster), np.bool_)
        self._usable[rows] = True
        order = rows[np.argsort(shelf.cluster[rows], kind="stable")]
        clusters, starts = np.unique(shelf.cluster[order], return_index=True)
        self._rows = dict(zip(clusters.tolist(), np.split(order, starts)[1:], strict=True))
        self._clusters: dict[int, NDArray[np.int64]] = {}
        of = shelf.repository[order[starts]]
        plural = np.array([len(self._rows[c]) > 1 for c in clusters.tolist()], dtype=bool)
        for r in np.unique(of):
            if len(mine := clusters[(of == r) & plural]) > 1:
                self._clusters[int(r)] = mine
        self._all = {int(r): order[np.isin(shelf.repository[order], [r])] for r in self._clusters}
        self._repositories = np.array(sorted(self._clusters))
        # Square root: large repositories are seen more, but do not drown the others.
        size = np.sqrt([len(self._all[r]) for r in self._repositories.tolist()])
        self._share = size / size.sum() if len(size) else size

    def __len__(self) -> int:
        """Return the number of documents that groups are made of."""
        return sum(map(len, self._all.values()))

    def __call__(self, step: int) -> Group:
        """Return group STEP."""
        rng = np.random.default_rng((self._config.seed, step))
        return self.group(self._drawn(rng), rng)

    def rows(self, step: int) -> list[int]:
        """Return which documents of the library group STEP is made of."""
        return self._drawn(np.random.default_rng((self._config.seed, step)))

    def _drawn(self, rng: np.random.Generator) -> list[int]:
        config = self._config
        repository = int(rng.choice(self._repositories, p=self._share))
        clusters = self._chosen(repository, rng)
        wanted = config.documents - config.distractors
        pools = [rng.permutation(self._rows[c])[:wanted].tolist() for c in clusters]
        drawn: list[int] = []
        while len(drawn) < wanted and any(pools):
            # Turn by turn, so that a long file does not crowd the others out.
            drawn += [pool.pop() for pool in pools if pool][: wanted - len(drawn)]
        return drawn + self._others(repository, set(clusters), drawn, config.documents - len(drawn), rng)

    def _chosen(self, repository: int, rng: np.random.Generator) -> list[int]:
        pool = self._clusters[repository]
        first = int(rng.choice(pool))
        chosen = [first]
        kin = [c for c in self._shelf.related.get(first, ()) if c in self._rows]
        # Twice as many tries as places: a small repository has few files, and they come up again.
        for _ in range(2 * self._config.clusters):
            if len(chosen) == self._config.clusters:
                break
            it = int(rng.choice(kin if kin and rng.random() < self._config.related else pool))
            if it not in chosen:
                chosen.append(it)
        return chosen

    def _others(
        self, repository: int, clusters: set[int], drawn: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        """Return COUNT documents of other clusters: those like what is DRAWN in words, else any."""
        shelf = self._shelf
        near = {n for row in drawn for n in shelf.near.get(row, ()) if int(shelf.cluster[n]) not in clusters}
        found = rng.permutation(np.array(sorted(n for n in near if self._usable[n]), np.int64))[:count].tolist()
        taken = {*found, *drawn}
        for row in rng.choice(self._all[repository], 4 * count + 4).tolist():
            if len(found) == count:
                break
            if row not in taken and int(shelf.cluster[row]) not in clusters:
                found.append(row)
                taken.add(row)
        return found

    def group(self, rows: Sequence[int], rng: np.random.Generator) -> Group:
        """Return the documents ROWS as a group, each cut at the same place for both models."""
        shelf, config = self._shelf, self._config
        bags, tokens_of, queries, words = [], [], [], []
        for row in rows:
            pieces, tokens, said = shelf.pieces[row], shelf.tokens[row], shelf.tokens[row][:0]
            if config.asked and shelf.words is not None:
                queries.append(np.unique(shelf.words.pieces[row]))
                said = shelf.words.tokens[row][: config.words]
            spare = len(tokens) - (config.longest - len(said))
            if spare > 0:
                start = int(rng.integers(spare + 1))
                ratio = len(pieces) / len(tokens)
                end = start + len(tokens) - spare
                pieces = pieces[int(start * ratio) : max(int(end * ratio), int(start * ratio) + 1)]
                tokens = tokens[start:end]
            bags.append(np.unique(pieces))
            tokens_of.append(np.concatenate((said, tokens)))
            words.append(len(said))
        held = Bags.of(bags), Ragged.of(tokens_of), np.array(rows)
        return Group(*held, Bags.of(queries), np.array(words)) if config.asked else Group(*held)
