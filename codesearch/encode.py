"""The encoder that search uses: a Bundle's ONNX model and tokenizer. The only importer of onnxruntime.

Texts are tokenised, word by word where the tokenizer allows it (a quarter of the time). A static model's run with
others of about the same length, so that padding is small, and are put back in order; a transformer's run one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import WhitespaceSplit

from codesearch.bundle import MODEL, TOKENIZER, Bundle
from codesearch.errors import BundleError
from codesearch.text import bag
from codesearch.types import Role

HEADING: Final = 0.5
"""What a chunk's heading by itself weighs beside its document. Among the words of a long function its names all but
disappear, and nothing says better what it is about. Half finds most functions by their documentation, in repositories
that neither training nor any judged question knows; a quarter and the whole find fewer."""
_CELLS: Final = 1 << 13
"""Token positions a run of the model. A static model gathers cells × dimensions floats: 8 MB, which a processor's cache
holds. Four times as many took 45 MB more memory and a fifth more time."""
_REMEMBERED: Final = 1 << 15
"""Words whose pieces are kept; about 10 MB."""
_STEP: Final = 16
"""Texts are padded to a multiple of this, and only those of one padded length run together. Sums of floats depend on
how many there are, and a text must have one vector whatever it is encoded with, or an index that grew would differ from
one that is built afresh."""


class OnnxEncoder:
    """An Encoder over a bundle; cheap to keep, safe to call from one thread at a time."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Load BUNDLE; a model or tokenizer that does not load raises BundleError.

        THREADS are a static model's; a transformer, which has work for them, gets every processor.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads if bundle.description.static else _processors()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, and said once
        try:
            model = str(bundle.folder / MODEL)
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_file(str(bundle.folder / TOKENIZER))
        except Exception as error:  # both libraries raise bare exceptions of their own
            raise BundleError(f"the model in {bundle.folder} does not load: {error}. Reinstall codesearch.") from error
        self._tokenizer.no_padding()
        # Cut by the tokenizer, which leaves the tokens that must close a text where they are.
        self._tokenizer.enable_truncation(bundle.description.max_tokens)
        self._description = bundle.description
        self._words = _Words(self._tokenizer) if _by_word(bundle, self._tokenizer) else None
        self._folder = bundle.folder

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._description.dimensions

    @property
    def fingerprint(self) -> str:
        """The bundle's fingerprint."""
        return self._description.fingerprint

    @property
    def adapted(self) -> bool:
        """Whether the bundle says so."""
        return self._description.adapted

    @property
    def contextual(self) -> bool:
        """Whether it is a transformer."""
        return not self._description.static

    def encode(self, texts: Sequence[str], role: Role, *, normalised: bool = False) -> NDArray[np.float32]:
        """Return unit vectors, shape (len(texts), dimensions); a text without any known piece gives zeros.

        TEXTS that are NORMALISED are in the form that the bundle asks for already. A model that fails, or gives
        anything else, raises BundleError.
        """
        said = self._description
        if said.normalise == "bag" and not normalised:
            texts = [bag(text) for text in texts]
        prefix = said.query_prefix if role == "query" else said.passage_prefix
        if self._words is not None and not prefix:
            pieces, bounds = self._words.pieces(texts)
        else:
            found = [one.ids for one in self._tokenizer.encode_batch_fast([prefix + text for text in texts])]
            pieces, bounds = _flat(found), _bounds(list(map(len, found)))
        vectors = np.zeros((len(texts), said.dimensions), np.float32)
        lengths = np.minimum(np.diff(bounds), said.max_tokens)
        for rows, length in _batches(lengths) if said.static else _alone(lengths):
            mask = np.arange(length) < lengths[rows, None]
            ids = np.zeros(mask.shape, np.int64)
            ids[mask] = pieces[(bounds[rows, None] + np.arange(length))[mask]]
            feed = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
            vectors[rows] = self._run(feed, (len(rows), said.dimensions))
        return vectors

    def _run(self, feed: dict[str, NDArray[np.int64]], shape: tuple[int, int]) -> NDArray[np.float32]:
        try:
            found = self._session.run(["sentence_embedding"], feed)[0]
        except Exception as error:  # onnxruntime's own, of many names and one base
            raise BundleError(
                f"the model in {self._folder} fails: {_first_line(error)}. Reinstall codesearch."
            ) from error
        if np.shape(found) != shape or found.dtype != np.float32 or not np.isfinite(found).all():
            raise BundleError(
                f"the model in {self._folder} gives no vectors of {shape[1]} numbers. Reinstall codesearch."
            )
        vectors: NDArray[np.float32] = found
        return vectors


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Words:
    """The pieces of words by themselves, remembered: code repeats its words far more often than it makes new ones."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}

    def pieces(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Return the pieces of TEXTS, each words with a blank between, one after the other, and where each begins.

        Shapes (pieces,) and (texts + 1,).
        """
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        words = " ".join(texts).split()
        new = list(set(words).difference(self._known))
        for word, encoding in zip(new, self._tokenizer.encode_batch_fast(new), strict=True):
            self._known[word] = tuple(encoding.ids)
        found = list(map(self._known.__getitem__, words))
        of_words = _bounds(list(map(len, found)))
        return _flat(found), of_words[_bounds([text.count(" ") + bool(text) for text in texts])]


def _flat(pieces: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return PIECES one after the other."""
    return np.fromiter(chain.from_iterable(pieces), np.int64)


def _bounds(lengths: Sequence[int]) -> NDArray[np.intp]:
    """Return where each of what has these LENGTHS begins, one after the other, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.array(lengths, np.intp))])


def _by_word(bundle: Bundle, tokenizer: Tokenizer) -> bool:
    """Tell whether the pieces of a text are those of its words, one after the other, whatever stands beside them."""
    return (
        bundle.description.normalise == "bag"
        and isinstance(tokenizer.pre_tokenizer, WhitespaceSplit)
        and tokenizer.normalizer is None
        and tokenizer.post_processor is None
    )


def _batches(lengths: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Yield the row numbers of non-empty texts with the length that they are padded to."""
    padded_to = -(-lengths // _STEP) * _STEP
    for padded in np.unique(padded_to[lengths > 0]).tolist():
        rows = np.flatnonzero(padded_to == padded)
        most = max(_CELLS // padded, 1)
        for start in range(0, len(rows), most):
            yield rows[start : start + most], padded


def _alone(lengths: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Yield the row number of each non-empty text with its own length.

    What a transformer makes of a text depends, in its last digits, on what runs beside it; int8 activations, whose
    scale is that of the whole run, much more. Alone a text needs no padding either, and is as fast.
    """
    for row in np.flatnonzero(lengths):
        yield np.array([row]), int(lengths[row])


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def passages(encoder: OnnxEncoder, documents: Sequence[str], headings: Sequence[str]) -> NDArray[np.float32]:
    """Return a unit vector for each chunk, (n, dimensions), of its document and, once more, its heading.

    Both are in the form that the bundle asks for.
    """
    vectors = encoder.encode(documents, "passage", normalised=True)
    vectors += HEADING * encoder.encode(headings, "passage", normalised=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors
