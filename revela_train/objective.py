"""What is minimised: contrast within a batch of pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(queries: Tensor, passages: Tensor, temperature: float, same: Tensor | None = None) -> Tensor:
    """Return the symmetric contrastive loss of B pairs of unit vectors (B, D): each finds its partner among all.

    InfoNCE, van den Oord et al. 2018, equation 4, in both directions. SAME (B, B) marks pairs that are equal although
    they stand in different rows; they are no negatives.
    """
    scores = queries @ passages.T / temperature  # (B, B)
    if same is not None:
        scores = scores.masked_fill(same, -torch.inf)
    target = torch.arange(len(scores))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
