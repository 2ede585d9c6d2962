"""Revela's objective as published: how similar documents are says how much of them the LM sees; its loss says how well.

    queries and passages ─ retriever ─▶ vectors ─ similarities ─▶ S ─ document_weights ─▶ W
    S, LM, batch ─ losses ─▶ next-token loss of the LM with W, whose gradient in S trains the retriever

Cai et al., arXiv 2506.16552, and the authors' code. What we add to it lives elsewhere and calls these pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from revela_train.attention import attend, read
from revela_train.config import RevelaConfig


@dataclass(frozen=True, slots=True)
class Losses:
    """Nats a token, each a scalar."""

    total: Tensor
    """What is minimised."""
    in_batch: Tensor
    """The documents read with a look at each other, pass 2."""
    alone: Tensor
    """The documents read alone, pass 1; without gradient unless it is part of the total."""


def similarities(queries: Tensor, passages: Tensor) -> Tensor:
    """Return S (B, B) in float32: the cosine of document i as a query, row i, and document j as a passage; (B, D) each.

    Not symmetric. In float32 whatever the retriever runs in: near .8 bfloat16 has steps of .004, forty times the
    published temperature, so that most documents would tie or lose outright.
    """
    with torch.autocast(queries.device.type, enabled=False):
        return F.normalize(queries.float(), dim=-1) @ F.normalize(passages.float(), dim=-1).T


def document_weights(scores: Tensor, temperature: float) -> Tensor:
    """Return W (B, B) in float32: the softmax of each row of SCORES / TEMPERATURE over the other documents.

    The diagonal is zero: nobody looks at themselves. Raises ValueError where there is nobody else.
    """
    if len(scores) < 2:
        raise ValueError("in-batch attention needs at least two documents")
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    return (scores.float() / temperature).masked_fill(itself, -torch.inf).softmax(-1)


def next_token_loss(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nats, of each token but a document's first.

    LOGITS is (B, L, V); IDS and MASK are (B, L), MASK being 1 where a token counts. The mean is over the tokens of the
    batch, so long documents weigh more; in float32.
    """
    targets = ids.masked_fill(~mask.bool(), -100)[:, 1:]
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets.flatten(), ignore_index=-100)


def losses(
    scores: Tensor, lm: PreTrainedModel, ids: Tensor, mask: Tensor, config: RevelaConfig, progress: float = 0.0
) -> Losses:
    """Return the losses of one batch: the published objective from similarities on.

    SCORES is S (B, B); IDS and MASK are the documents as the LM (opened by `open_to_others`) reads them, (B, L),
    right-padded, without prefix or end token. One `total.backward()` reaches LM and retriever.
    """
    weights = document_weights(scores, config.temperature_at(progress))
    reading, documents = read(lm, ids, mask, logits=False)
    with torch.set_grad_enabled(config.dual and torch.is_grad_enabled()):  # else its logits would be kept for nothing
        alone = next_token_loss(lm.get_output_embeddings()(reading.states), ids, mask)
    reading = attend(lm, documents, weights, v_norm=config.v_norm)
    in_batch = next_token_loss(reading.logits, ids, mask)
    return Losses(in_batch + alone if config.dual else in_batch, in_batch, alone)
