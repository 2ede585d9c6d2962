"""In-batch attention: while an LM reads one document, it also looks at the others, as much as the retriever says.

Revela (Cai et al., arXiv 2506.16552), section 3, and the authors' released code, whose numbers the tests hold. The LM
reads a batch of B documents twice. Pass 1 (`read`) is the stock LM on each document alone; it leaves each layer's keys
and values behind, rotated to the document's own positions and with their gradients. Pass 2 (`attend`) reads them again:
in every layer and head the output for document i becomes

    s_i + Σ_j W_ij · softmax(Q_i K_jᵀ / √d) V_j        s_i: ordinary causal attention within pass 2
                                                       K_j, V_j: of pass 1, all of document j, padding out

before the same output projection, residual and MLP. W (B, B) is one number for a pair of documents, the same for all
layers, heads and tokens. Each document has a softmax of its own, and W comes after it, so that W_ij scales what j has
to say and the loss of pass 2 has a gradient in W: that is what trains the retriever. Nothing here has parameters.

No model is forked or copied: an LM of `transformers` looks its attention function up by name, and ours, given no
weights, is transformers' own. Whatever else is tried on the same weights is another function over both `Reading`s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from codesearch.errors import UsageError

NAME: Final = "in_batch"
"""What the attention function is called among those of transformers."""

V_NORM_EPSILON: Final = 1e-6
"""Added to the mean length of the values before dividing by it; the published value."""

_ALIGNED: Final = 8
"""Columns that V-normalisation adds to a head, of which it needs one: fused kernels want widths divisible by eight."""


@dataclass(frozen=True, slots=True)
class Documents:
    """B documents of L tokens, right-padded, as pass 1 reads them."""

    ids: Tensor
    """(B, L), token numbers."""
    mask: Tensor
    """(B, L), 1 where there is a token."""
    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Keys and values of each layer, (B, heads, L, D) with as many heads as the LM has for keys; filled by pass 1."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the LM makes of B documents in one pass."""

    logits: Tensor
    """(B, L, V), of the token after each; (B, 1, V), the last one's, where they were not wanted."""
    states: Tensor
    """(B, L, d), what the LM's head turned into logits."""


@dataclass(frozen=True, slots=True)
class _Others:
    """What the attention function needs in pass 2."""

    documents: Documents
    weights: Tensor
    v_norm: bool


def in_batch_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    weights: Tensor,
    *,
    scaling: float,
    v_norm: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return Σ_j W_ij softmax(Q_i K_jᵀ · SCALING) V_j, shape (B, H, L, D).

    QUERY is (B, H, L, D); KEY and VALUE are (B, G, L, D) with G dividing H, consecutive heads sharing one; MASK is
    (B, L), 1 where a document has a token, of which each has at least one; WEIGHTS is (B, B), row i for document i.
    With V_NORM what document j says to a token is divided by the mean length of the values it is made of (+ 1e-6), so
    that none speaks louder than another: the paper's equation 8, used there for Wikipedia and not for code.

    Cost: B² · H · L² · D multiplications, as published. The scores, B² · H · L² numbers, are never held where torch has
    a fused kernel, which is the case on CPUs; kept for the gradient are the B² · H · L · D numbers W is applied to, and
    for a moment there are twice as many.
    """
    batch, heads, length, width = query.shape
    shared, group = key.shape[1], heads // key.shape[1]
    if v_norm:
        # The softmax that averages the values averages their lengths as well, as one column more of them. The columns
        # that queries and keys gain with it are zero and change no score.
        lengths = value.norm(dim=-1, keepdim=True)
        value = torch.cat((value, F.pad(lengths, (0, _ALIGNED - 1))), dim=-1)
        query, key = F.pad(query, (0, _ALIGNED)), F.pad(key, (0, _ALIGNED))
    # No causal order holds between documents, so a query does not care which document or head it came from: those of
    # all documents, and of all heads with the same key, are rows of one attention to each document j.
    rows = query.reshape(batch, shared, group, length, -1).permute(1, 0, 2, 3, 4).flatten(1, 3)  # (G, B·H/G·L, D)
    said = F.scaled_dot_product_attention(
        rows.expand(batch, -1, -1, -1),
        key,
        value,
        attn_mask=mask.bool()[:, None, None, :],
        dropout_p=dropout,
        scale=scaling,
    )  # (B of j, G, B·H/G·L of i, D)
    said = said.reshape(batch, shared, batch, group, length, -1)
    share = weights.T.to(said.dtype)[:, None, :, None, None, None]  # of j in what i hears
    if v_norm:
        said, mean_length = said[..., :width], said[..., width : width + 1]
        share = share / (mean_length + V_NORM_EPSILON)
    # A product and a sum, where einsum would keep a second copy of what was said for the gradient.
    return (share * said).sum(0).transpose(0, 1).flatten(1, 2)


def _attention_of_a_layer(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    documents: Documents | None = None,
    others: _Others | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' `sdpa` does; with DOCUMENTS leave keys and values there, with OTHERS look at them too."""
    own, _ = sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
    )  # (B, L, H, D)
    layer: Any = module.layer_idx
    if documents is not None:
        # Gradient checkpointing comes here again in the backward pass; what pass 2 has looked at stays.
        documents.layers.setdefault(layer, (key, value))
    if others is not None:
        key, value = others.documents.layers[layer]
        mask = others.documents.mask
        said = in_batch_attention(
            query, key, value, mask, others.weights, scaling=scaling, v_norm=others.v_norm, dropout=dropout
        )
        own = own + said.transpose(1, 2)
    return own, None


AttentionInterface.register(NAME, _attention_of_a_layer)
# A name without a mask function of its own would get no mask at all, and so read padding.
AttentionMaskInterface.register(NAME, sdpa_mask)


def open_to_others(lm: PreTrainedModel) -> None:
    """Make LM able to `read` and `attend`; by itself it still equals the stock model bit for bit.

    Raises UsageError for an LM that does not take its attention from transformers' attention interface.
    """
    lm.set_attn_implementation(NAME)
    if lm.config._attn_implementation != NAME:
        raise UsageError(
            f"{type(lm).__name__} has an attention of its own, which other documents cannot be let into; "
            "choose a Llama- or Qwen2-like LM"
        )


def read(lm: PreTrainedModel, ids: Tensor, mask: Tensor, *, logits: bool = True) -> tuple[Reading, Documents]:
    """Pass 1: read each document alone, as the stock LM does. Return that, and the documents for pass 2.

    Without LOGITS, half the cost of a small LM, its states are all there is.

    IDS and MASK are (B, L), right-padded, every document with at least one token, else ValueError. Nothing is detached.
    Gradient checkpointing is fine in the non-reentrant form, transformers' default; the other form loses the gradients
    of keys and values.

    Raises UsageError for an LM that is not opened.
    """
    if not (mask[:, 0].all() and (mask[:, 1:] <= mask[:, :-1]).all()):
        raise ValueError("documents must be padded on the right and hold at least one token each")
    documents = Documents(ids, mask)
    reading = _reading(lm, ids, mask, logits, documents=documents)
    if len(documents.layers) != lm.config.num_hidden_layers:
        raise UsageError(
            f"{type(lm).__name__} left keys and values of {len(documents.layers)} of its {lm.config.num_hidden_layers} "
            "layers; call open_to_others first, or choose a Llama- or Qwen2-like LM"
        )
    return reading, documents


def attend(
    lm: PreTrainedModel, documents: Documents, weights: Tensor, *, v_norm: bool = False, logits: bool = True
) -> Reading:
    """Pass 2: read DOCUMENTS again with a look at the others, WEIGHTS (B, B) saying how much at which.

    The same documents can be attended to again with other weights; with zeros it is pass 1 once more.
    """
    return _reading(lm, documents.ids, documents.mask, logits, others=_Others(documents, weights, v_norm))


def _reading(lm: PreTrainedModel, ids: Tensor, mask: Tensor, logits: bool, **ours: Documents | _Others) -> Reading:
    """Run LM, which hands what it does not know on to its attention function."""
    wanted: dict[str, Any] = {} if logits else {"logits_to_keep": 1}
    output = lm(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True, **wanted, **ours)
    return Reading(output.logits, output.hidden_states[-1])
