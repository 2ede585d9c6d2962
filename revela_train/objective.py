"""What is minimised: contrast within a batch of pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from revela_train.batches import Bags, PairBatch
from revela_train.distributed import ALONE, World

Encode = Callable[[Tensor, Tensor], Tensor]
"""Pieces laid end to end and where each bag begins → unit vectors (B, D)."""


def encoded(encode: Encode, bags: Bags) -> Tensor:
    """Return unit vectors (B, D) of BAGS."""
    return encode(torch.from_numpy(bags.pieces), torch.from_numpy(bags.offsets))


def info_nce(queries: Tensor, passages: Tensor, temperature: float, same: Tensor | None = None) -> Tensor:
    """Return the symmetric contrastive loss of B pairs of unit vectors (B, D): each finds its partner among all.

    InfoNCE, van den Oord et al. 2018, equation 4, in both directions. SAME (B, B) marks pairs that are equal although
    they stand in different rows; they are no negatives. In float32 under autocast, too, as `revela.similarities` is.
    """
    with torch.autocast(queries.device.type, enabled=False):
        scores = queries.float() @ passages.float().T / temperature  # (B, B)
    if same is not None:
        scores = scores.masked_fill(same, -torch.inf)
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def contrast(queries: Tensor, passages: Tensor, body: Tensor, temperature: float, us: World) -> Tensor:
    """Return the contrastive loss of the pairs of all processes, of which QUERIES and PASSAGES (B / size, D) are US's.

    BODY (B / size,) names the chunk of each, so that one drawn twice is not its own negative.
    """
    queries, passages, body = us.gathered(queries), us.gathered(passages), us.gathered(body.to(queries.device))
    same = (body[:, None] == body) & ~torch.eye(len(body), dtype=torch.bool, device=body.device)
    return info_nce(queries, passages, temperature, same)


def pairs_loss(encode: Encode, batch: PairBatch, temperature: float, us: World = ALONE) -> Tensor:
    """Return the contrastive loss of one batch of pairs, of which BATCH is the part of process US."""
    vectors = encoded(encode, batch.queries), encoded(encode, batch.passages)
    return contrast(*vectors, torch.from_numpy(batch.body), temperature, us)
