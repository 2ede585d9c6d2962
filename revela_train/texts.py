"""Groups and pairs of a repository as text, for models that read it as it stands.

What belongs together is decided as for the embedded pair (`groups.py`), on the same documents; only here they are not
bags of pieces. Draw `step` depends on the seed and the step alone, so a resumed run sees what it would have seen, and
so does each of several processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from revela_train.config import FinetuneConfig
from revela_train.documents import Material, Texts
from revela_train.groups import GroupSampler, Library
from revela_train.lm import OpenLM, padded

_LINES: Final = 60
"""Of a body that one pair reads, from a random start where it is longer: about what a retriever reads of it."""
_WORDS: Final = 48
"""Of a question in words; what is longer is an essay."""
_LM_WORDS: Final = 32
"""Tokens of the LM that the words before a document are cut to."""


@dataclass(frozen=True, slots=True)
class TextGroup:
    """B documents: what the retriever reads as text, what the LM reads as tokens, where the LM is."""

    documents: tuple[str, ...]
    queries: tuple[str, ...] | None
    """What each is asked for with; None where each is its own query."""
    ids: Tensor
    """(B, L), tokens for the LM, right-padded."""
    mask: Tensor
    """(B, L)."""
    counted: Tensor | None
    """(B, L), which tokens have a loss; None for all."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents of one repository, and what draws groups of them."""

    sampler: GroupSampler
    library: Library
    texts: Texts


class TextGroups:
    """Draws groups of documents, each of one repository."""

    def __init__(self, shelves: Sequence[Shelf], lm: OpenLM, *, asked: bool, seed: int) -> None:
        """Draw from SHELVES, for LM to read. If documents are ASKED for, it is with words."""
        self._shelves, self._lm, self._asked, self._seed = shelves, lm, asked, seed
        self._share = _by_size([len(shelf.sampler) for shelf in shelves])

    def __call__(self, step: int) -> TextGroup:
        """Return group STEP."""
        which = np.random.default_rng((self._seed, step, 3)).choice(len(self._shelves), p=self._share)
        shelf, lm = self._shelves[which], self._lm
        texts, library = shelf.texts, shelf.library
        of = [(int(library.row[row]), bool(library.code[row])) for row in shelf.sampler.rows(step)]
        documents = tuple(texts.body[i] if code else texts.doc[i] for i, code in of)
        device = next(lm.parameters()).device
        if not self._asked:
            ids, mask = lm.tokenise(documents)
            return TextGroup(documents, None, ids.to(device), mask.to(device), None)
        queries = tuple(texts.doc[i] or texts.heading[i] for i, _ in of)
        said = [tokens[:_LM_WORDS] for tokens in _rows(*lm.tokenise(queries))]
        read = [
            [*words, *code[: lm.longest - len(words)]]
            for words, code in zip(said, _rows(*lm.tokenise(documents)), strict=True)
        ]
        counted = [[0] * len(words) + [1] * (len(one) - len(words)) for words, one in zip(said, read, strict=True)]
        ids, mask = padded(read)
        return TextGroup(documents, queries, ids.to(device), mask.to(device), padded(counted)[0].to(device))


@dataclass(frozen=True, slots=True)
class TextPairs:
    """B queries with their passages; `body` names the chunk, so that one drawn twice is not its own negative."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    body: NDArray[np.int64]

    def part(self, rank: int, of: int) -> TextPairs:
        """Return what process RANK of OF encodes."""
        return TextPairs(self.queries[rank::of], self.passages[rank::of], self.body[rank::of])


class TextPairSampler:
    """Draws pairs: words → code, path and name → code, half of a body → the other half, test → what it tests.

    A batch is of one repository: telling neighbours apart is what search within one needs.
    """

    def __init__(self, offered: Sequence[Material], config: FinetuneConfig) -> None:
        """Draw from what is OFFERED, a repository each."""
        self._offered, self._config = offered, config
        self._share = _by_size([len(one.texts.body) for one in offered])
        self._documented = [[row for row, doc in enumerate(one.texts.doc) if doc] for one in offered]

    def __call__(self, step: int) -> TextPairs:
        """Return batch STEP."""
        rng = np.random.default_rng((self._config.seed, step, 2))
        which = int(rng.choice(len(self._offered), p=self._share))
        drawn = [self._pair(which, rng) for _ in range(self._config.pairs)]
        queries, passages, bodies = zip(*drawn, strict=True)
        return TextPairs(queries, passages, np.array(bodies, np.int64))

    def _pair(self, which: int, rng: np.random.Generator) -> tuple[str, str, int]:
        texts, links, config = self._offered[which].texts, self._offered[which].links, self._config
        if len(links) and rng.random() < config.link_share:
            test, row = links[rng.integers(len(links))].tolist()
            return _window(texts.body[test], rng), _window(texts.body[row], rng), row
        kind, documented = rng.random(), self._documented[which]
        # Each text is met about as often as each body is; of few, fewer are drawn, or they are learnt by heart.
        doc_share = min(config.doc_share, 2 * len(documented) / len(texts.body))
        if kind < doc_share:
            row = documented[int(rng.integers(len(documented)))]
            code, headed = _window(texts.body[row], rng), rng.random() < 0.7
            return _some_words(texts.doc[row], rng), _passage(texts.heading[row], code, headed), row
        row = int(rng.integers(len(texts.body)))
        lines = _window(texts.body[row], rng).splitlines()
        if kind < doc_share + config.half_share and len(lines) > 1:
            cut = max(1, int(len(lines) * rng.uniform(0.3, 0.7)))
            halves = ["\n".join(lines[:cut]), "\n".join(lines[cut:])]
            if rng.random() < 0.5:
                halves.reverse()
            return halves[0], _passage(texts.heading[row], halves[1], rng.random() < 0.5), row
        return texts.heading[row], "\n".join(lines), row


def _by_size(sizes: Sequence[int]) -> NDArray[np.float64]:
    """Return the share of each of SIZES: by its square root, so that large repositories do not drown the others."""
    roots = np.sqrt(sizes)
    return roots / roots.sum()


def _rows(ids: Tensor, mask: Tensor) -> list[list[int]]:
    return [row[: int(length)].tolist() for row, length in zip(ids, mask.sum(1), strict=True)]


def _window(body: str, rng: np.random.Generator) -> str:
    lines = body.splitlines()
    spare = len(lines) - _LINES
    start = int(rng.integers(spare + 1)) if spare > 0 else 0
    return "\n".join(lines[start : start + _LINES])


def _passage(heading: str, code: str, headed: bool) -> str:
    """Return CODE, if it is HEADED with its heading before it, as in the index."""
    return f"{heading}\n{code}" if headed else code


def _some_words(doc: str, rng: np.random.Generator) -> str:
    """Return DOC as a question: the whole of it, or, as people type, a few words in a row."""
    said = doc.split()[:_WORDS]
    if len(said) > 4 and rng.random() < 0.5:
        few = int(rng.integers(3, min(len(said), 12)))
        start = int(rng.integers(len(said) - few + 1))
        said = said[start : start + few]
    return " ".join(said)
