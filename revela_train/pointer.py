"""The pointer head: besides writing its next token, the LM may copy it from another document. Ours, not the paper's.

A tiny LM trained from scratch does not learn to use what in-batch attention adds to its layers: after thousands of
steps its loss with and without the other documents is the same, and the retriever has no gradient. A head that points
at tokens (See et al. 2017, section 2.2; Merity et al. 2017) works from the first minutes:

    p(token) = (1 - g·w_i) p_LM(token) + g · Σ_j W_ij Σ_s A_ij(t, s) [token s + 1 of document j is this token]

with g = sigmoid(linear(h_t)), started low, w_i = Σ_j W_ij, and A_ij(t, ·) a softmax over the positions of document j
alone: one small attention from the states of pass 2 to those of pass 1. As in in-batch attention W comes after each
document's own softmax, so the loss is a function of W. W is a softmax over the other documents, w_i = 1, or zero for a
document that sees none: then the LM's own probability is all there is.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revela_train.attention import Documents, Reading

WIDTH: Final = 64
"""Dimensions in which positions are compared."""

_SHY: Final = -2.0
"""Bias of the gate at the start: 12 % of the probability goes to copies."""


class PointerHead(nn.Module):
    """Where to copy from, and whether: projections of the LM's states (..., d)."""

    def __init__(self, states: int, width: int = WIDTH) -> None:
        """Make the head for an LM of STATES dimensions."""
        super().__init__()
        self.query = nn.Linear(states, width, bias=False)
        self.key = nn.Linear(states, width, bias=False)
        self.gate = nn.Linear(states, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, _SHY)

    def copied(self, reading: Reading, alone: Reading, documents: Documents) -> Tensor:
        """Return C (B, B, L-1): what document j gives to the token after t of document i, Σ_s A_ij(t,s) [they agree].

        READING is pass 2, ALONE is pass 1 of DOCUMENTS. A position of j counts where a token follows it; a document of
        one token gives nothing. Holds 2 · (B·L)² float32 numbers for the gradient. The part of j = i is there too:
        the weights leave it out.
        """
        ids, mask = documents.ids, documents.mask.bool()
        batch, length = ids.shape[0], ids.shape[1] - 1
        queries = self.query(reading.states[:, :-1].float()) * self.key.out_features**-0.5
        keys = self.key(alone.states[:, :-1].float())
        scores = (queries.flatten(0, 1) @ keys.flatten(0, 1).T).view(batch, length, batch, length)
        follows = mask[:, 1:]  # (B of j, L-1)
        scores = scores.masked_fill(~follows, torch.finfo(scores.dtype).min)
        agree = (ids[:, 1:, None, None] == ids[:, 1:]) & follows  # (B, L-1, B, L-1)
        copied: Tensor = (scores.softmax(-1) * agree).sum(-1).transpose(1, 2)
        return copied

    def losses(self, reading: Reading, alone: Reading, documents: Documents, weights: Tensor) -> Tensor:
        """Return -log p of each token but a document's first, (B, L-1), nats, float32; padding has a value, too.

        WEIGHTS is W (B, B), rows summing to one or to zero. Both parts are added in units of the larger one, so that
        nothing underflows: a log-sum-exp that has no logarithm of what is not copied at all.
        """
        weights = weights.float()
        written = -_cross_entropy(reading, documents.ids)
        logit = self.gate(reading.states[:, :-1].float()).squeeze(-1)
        seen = weights.sum(1).clamp(max=1)[:, None]
        written = written + ((1 - seen) + seen * torch.sigmoid(-logit)).log()
        copied = torch.sigmoid(logit) * (weights[:, :, None] * self.copied(reading, alone, documents)).sum(1)
        unit = torch.maximum(written, copied.log()).detach()
        return -(unit + ((written - unit).exp() + copied * (-unit).exp()).log())


def _cross_entropy(reading: Reading, ids: Tensor) -> Tensor:
    """Return -log p_LM of each token but the first, (B, L-1), in float32."""
    return F.cross_entropy(reading.logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")


def token_losses(
    head: PointerHead | None, reading: Reading, alone: Reading, documents: Documents, weights: Tensor
) -> Tensor:
    """Return -log p of each token but a document's first, (B, L-1): with HEAD the mixture, without it the LM's own."""
    if head is None:
        return _cross_entropy(reading, documents.ids)
    return head.losses(reading, alone, documents, weights)
