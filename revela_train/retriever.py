"""The static retriever: a table of piece vectors with learnt weights; a text is their weighted mean, unit length.

It reads a text as a bag of pieces, so it costs a gather and a sum: thousands of chunks a second on one core.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from codesearch.text import bag
from codesearch.types import Role


class StaticRetriever(nn.Module):
    """Piece vectors (V, D) and log-weights (V,). Piece 0 is the unknown one and stays zero."""

    def __init__(self, pieces: int, dimensions: int) -> None:
        """Start from small random vectors and equal weights."""
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(pieces, dimensions) / dimensions**0.5)
        self.log_weights = nn.Parameter(torch.zeros(pieces))
        with torch.no_grad():
            self.vectors[0] = 0

    def start_from_frequencies(self, frequencies: Tensor, smooth: float = 1e-3) -> None:
        """Set each weight to a / (a + p), p the piece's share of the corpus (Arora et al. 2017, equation 3)."""
        with torch.no_grad():
            share = frequencies.float() / frequencies.sum()
            self.log_weights.copy_(torch.log(smooth / (smooth + share)))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return unit vectors (B, D) of padded pieces (B, L); the form that is exported."""
        weights = self.log_weights.exp()[input_ids] * attention_mask.to(self.vectors.dtype)  # (B, L)
        summed = (self.vectors[input_ids] * weights.unsqueeze(-1)).sum(1)  # (B, D)
        return F.normalize(summed / weights.sum(1, keepdim=True).clamp_min(1e-9), dim=-1)

    def bags(self, pieces: Tensor, offsets: Tensor) -> Tensor:
        """Return unit vectors (B, D) of pieces laid end to end, bag i starting at offsets[i]; the form that trains."""
        weights = self.log_weights.exp()[pieces]
        summed = F.embedding_bag(pieces, self.vectors, offsets, mode="sum", per_sample_weights=weights)
        return F.normalize(summed, dim=-1)


class TorchEncoder:
    """An Encoder over the retriever in training, so that evaluation measures the same thing before and after export."""

    fingerprint = "in training"
    adapted = False
    contextual = False

    def __init__(self, retriever: StaticRetriever, tokenizer: Tokenizer) -> None:
        """Wrap RETRIEVER with the tokenizer it was trained with."""
        self._retriever, self._tokenizer = retriever, tokenizer

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._retriever.vectors.shape[1])

    @torch.no_grad()
    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return one unit vector a text."""
        encoded = self._tokenizer.encode_batch_fast([bag(text) for text in texts])
        ids = [e.ids for e in encoded]
        offsets = torch.tensor(np.cumsum([0, *map(len, ids[:-1])]))
        flat = torch.tensor([i for row in ids for i in row], dtype=torch.long)
        return self._retriever.bags(flat, offsets).numpy()
