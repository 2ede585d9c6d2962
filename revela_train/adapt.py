"""Adapting the static base retriever to one repository: an update that leaves common words where pretraining put them.

    E = E0 + D · c0 / (c0 + n)       n: how often a piece occurred in pretraining; E0 fixed, D learnt from zero

A plain update forgets: what a few hundred functions say of `get` overrules what a million had said. Anchored by
frequency the repository's own jargon moves, and common pieces stay.
"""

from __future__ import annotations

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codesearch.bundle import MODEL, Bundle
from codesearch.errors import BundleError
from revela_train.export import stored
from revela_train.retriever import StaticRetriever


def from_bundle(bundle: Bundle) -> StaticRetriever:
    """Return the static retriever that BUNDLE was exported from, its table as exact as the bundle's precision has it.

    Raises BundleError for a bundle of another architecture.
    """
    if bundle.description.architecture != "static":
        raise BundleError(f"{bundle.folder} is {bundle.description.architecture}, only static models adapt")
    vectors, weights = stored(onnx.load(str(bundle.folder / MODEL)))
    retriever = StaticRetriever(*vectors.shape)
    with torch.no_grad():
        retriever.vectors.copy_(torch.from_numpy(vectors))
        retriever.log_weights.copy_(torch.from_numpy(weights).log())
    return retriever


class Anchored(nn.Module):
    """The base with a learnable difference, held back where pretraining knew better."""

    def __init__(self, base: StaticRetriever, counts: Tensor, anchor: float) -> None:
        """Start at BASE; COUNTS (V,) are its pieces' frequencies in pretraining, ANCHOR is c0.

        A piece met ANCHOR times moves half as far as one never met.
        """
        super().__init__()
        self.base = base.requires_grad_(False)
        self.difference = nn.Parameter(torch.zeros_like(base.vectors))
        self.register_buffer("share", (anchor / (anchor + counts)).unsqueeze(1))

    @property
    def vectors(self) -> Tensor:
        """The adapted table, (V, D)."""
        share: Tensor = self.share  # type: ignore[assignment]
        return self.base.vectors + self.difference * share

    def bags(self, pieces: Tensor, offsets: Tensor) -> Tensor:
        """Return unit vectors (B, D) of pieces laid end to end, bag i starting at offsets[i].

        Only the rows that occur are added up: a step costs what its texts cost, not what the table does.
        """
        occurring, at = pieces.unique(return_inverse=True)
        share: Tensor = self.share  # type: ignore[assignment]
        rows = self.base.vectors[occurring] + F.embedding(occurring, self.difference) * share[occurring]
        weights = self.base.log_weights.exp()[pieces]
        return F.normalize(F.embedding_bag(at, rows, offsets, mode="sum", per_sample_weights=weights), dim=-1)

    def retriever(self) -> StaticRetriever:
        """Return the adapted retriever by itself, ready to be exported."""
        made = StaticRetriever(*self.base.vectors.shape)
        with torch.no_grad():
            made.vectors.copy_(self.vectors)
            made.log_weights.copy_(self.base.log_weights)
        return made
