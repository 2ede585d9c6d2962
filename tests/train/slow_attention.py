"""In-batch attention written out one number at a time, from the paper's equations 5 to 8."""

from __future__ import annotations

import torch
from torch import Tensor


def slow_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, weights: Tensor, *, scaling: float, v_norm: bool
) -> Tensor:
    """Return what token t of document i hears from the other documents in head h, for all of them, (B, H, L, D)."""
    batch, heads, length, _ = query.shape
    sharing = heads // key.shape[1]
    rows = []
    for i in range(batch):
        for h in range(heads):
            for t in range(length):
                heard = torch.zeros_like(query[i, h, t])
                for j in range(batch):
                    tokens = [s for s in range(length) if mask[j, s]]
                    keys = [key[j, h // sharing, s] for s in tokens]
                    values = [value[j, h // sharing, s] for s in tokens]
                    scores = torch.stack([(query[i, h, t] * k).sum() * scaling for k in keys])
                    attention = scores.exp() / scores.exp().sum()
                    said = sum(a * v for a, v in zip(attention, values, strict=True))
                    if v_norm:
                        said = said / (sum(a * v.norm() for a, v in zip(attention, values, strict=True)) + 1e-6)
                    heard = heard + weights[i, j] * said
                rows.append(heard)
    return torch.stack(rows).reshape(query.shape)
