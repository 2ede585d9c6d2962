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
from transformers import PreTrainedModel

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
        """Return C (N, B): what document j gives to each of the N tokens that follow one, Σ_s A_ij(t,s) [they agree].

        READING is pass 2, ALONE is pass 1 of DOCUMENTS. A position of j counts where a token follows it; a document of
        one token gives nothing. Holds 2 · N · B·L float32 numbers for the gradient. The part of j = i is there too:
        the weights leave it out.
        """
        ids, follows = documents.ids, followed(documents)
        queries = self.query(reading.states[:, :-1][follows].float()) * self.key.out_features**-0.5  # (N, width)
        keys = self.key(alone.states[:, :-1].float())
        scores = (queries @ keys.flatten(0, 1).T).view(len(queries), *follows.shape)  # (N, B of j, L-1)
        scores = scores.masked_fill(~follows, torch.finfo(scores.dtype).min)
        agree = (ids[:, 1:][follows][:, None, None] == ids[:, 1:]) & follows
        copied: Tensor = (scores.softmax(-1) * agree).sum(-1)
        return copied

    def losses(self, reading: Reading, alone: Reading, documents: Documents, weights: Tensor, plain: Tensor) -> Tensor:
        """Return -log p of each of the N tokens that follow one, (N,), nats; PLAIN (N,) is the LM's own.

        WEIGHTS is W (B, B), rows summing to one or to zero. In float32 under autocast, too. Both parts are added in
        units of the larger one, so that nothing underflows: a log-sum-exp that has no logarithm of what is not copied
        at all.
        """
        with torch.autocast(plain.device.type, enabled=False):
            return self._losses(reading, alone, documents, weights, plain)

    def _losses(self, reading: Reading, alone: Reading, documents: Documents, weights: Tensor, plain: Tensor) -> Tensor:
        follows = followed(documents)
        of = follows.nonzero()[:, 0]  # (N,), the document of each token
        weights = weights.float()
        logit = self.gate(reading.states[:, :-1][follows].float()).squeeze(-1)
        seen = weights.sum(1).clamp(max=1)[of]
        written = ((1 - seen) + seen * torch.sigmoid(-logit)).log() - plain
        copied = torch.sigmoid(logit) * (weights[of] * self.copied(reading, alone, documents)).sum(1)
        unit = torch.maximum(written, copied.log()).detach()
        return -(unit + ((written - unit).exp() + copied * (-unit).exp()).log())


def followed(documents: Documents) -> Tensor:
    """Return (B, L-1): which positions have a token after them, and so a loss."""
    return documents.mask[:, 1:].bool()


def token_losses(
    lm: PreTrainedModel,
    head: PointerHead | None,
    reading: Reading,
    alone: Reading,
    documents: Documents,
    weights: Tensor,
) -> Tensor:
    """Return -log p of each token but a document's first, (B, L-1), 0 for padding: LM's own, or with HEAD the mixture.

    The LM's logits, the dearest part of a small one, are taken only where there is a token.
    """
    follows = followed(documents)
    logits = lm.get_output_embeddings()(reading.states[:, :-1][follows]).float()
    found = F.cross_entropy(logits, documents.ids[:, 1:][follows], reduction="none")
    if head is not None:
        found = head.losses(reading, alone, documents, weights, found)
    return found.new_zeros(follows.shape).masked_scatter(follows, found)
