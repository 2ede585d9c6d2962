"""The embedded LM: a tiny Llama over words, opened to other documents, whose loss teaches the retriever.

It reads *words form*, the identifiers of a text split and lower-cased in order (`codesearch.text.words`), so that 96
tokens hold most functions. Besides in-batch attention, which is the paper's, it has two parts of ours, each in its own
module: keys that mix in the token before (`MixedKeys`), with which two layers can copy sequences, and a head that
points at tokens of other documents (`pointer.py`). It is never asked to write: only its losses are used.

On disk it is a folder: config.json (transformers' form), model.safetensors, tokenizer.json and about.json.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from codesearch.errors import UsageError
from codesearch.text import words
from revela_train.attention import Documents, Reading, attend, open_to_others, read
from revela_train.pointer import PointerHead, token_losses

LONGEST: Final = 96
"""Tokens of a document that the LM reads."""

FORMAT: Final = 1
"""Raised when a folder written before can not be read any more."""

_CONFIG, _TENSORS, _TOKENIZER, _ABOUT = "config.json", "model.safetensors", "tokenizer.json", "about.json"

SHAPE: Final[dict[str, Any]] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": LONGEST,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
"""About a million parameters: on two cores more text teaches more than more parameters."""


class MixedKeys(nn.Module):
    """Keys k_t := a k_t + (1 - a) k_(t-1), a learnt for each head: ours, not the paper's.

    To go on copying, a token must find where the one before it stood; with a key that holds both, one layer can.
    """

    def __init__(self, projection: nn.Module, heads: int) -> None:
        """Wrap the key PROJECTION of a layer with HEADS key heads, started at a = 1/2."""
        super().__init__()
        self.projection = projection
        self.share = nn.Parameter(torch.zeros(heads))

    def forward(self, states: Tensor) -> Tensor:
        """Return keys (B, L, heads · D) of STATES (B, L, d), before rotation; the first token has only its own."""
        keys: Tensor = self.projection(states)
        before = torch.cat((keys[:, :1], keys[:, :-1]), dim=1)
        own = torch.sigmoid(self.share).repeat_interleave(keys.shape[-1] // len(self.share))
        return torch.lerp(before, keys, own.to(keys.dtype).expand_as(keys))  # under autocast keys are bfloat16


class OpenLM(nn.Module, ABC):
    """A causal LM that other documents were let into, with its tokenizer and, unless it has none, a pointer head."""

    def __init__(
        self, lm: PreTrainedModel, pointer: PointerHead | None, tokenizer: Tokenizer, longest: int = LONGEST
    ) -> None:
        """Hold the parts; LM is opened here."""
        super().__init__()
        open_to_others(lm)
        self.lm, self.pointer = lm, pointer
        self.tokenizer, self.longest = tokenizer, longest

    @abstractmethod
    def spelled(self, text: str) -> str:
        """Return what the tokenizer reads of TEXT."""

    def tokenise(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return tokens and mask (B, L) of raw TEXTS, right-padded, L at most `longest`.

        A text without a token is one zero, whose loss is nothing.
        """
        encoded = self.tokenizer.encode_batch_fast([self.spelled(text) for text in texts])
        return padded([e.ids[: self.longest] for e in encoded])


class EmbeddedLM(OpenLM):
    """The one that ships."""

    def spelled(self, text: str) -> str:
        """Return the words of TEXT."""
        return " ".join(words(text))


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return token ROWS as ids and mask (B, L), padded on the right with zeros; an empty row is one zero."""
    rows = [row if len(row) else [0] for row in rows]
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    lengths = torch.tensor(list(map(len, rows)))
    return ids, (torch.arange(longest) < lengths[:, None]).long()


def document_losses(
    embedded: OpenLM,
    ids: Tensor,
    mask: Tensor,
    weights: Tensor,
    pointer: bool = True,
    loss_mask: Tensor | None = None,
) -> Tensor:
    """Return the mean next-token loss of each document, (B,) nats, read with a look at the others.

    IDS and MASK (B, L) are as `tokenise` gives them; WEIGHTS is W (B, B) of `revela.document_weights`, or zeros for no
    documents at all: then this is the LM's plain loss, copies included in nothing. POINTER False leaves the head out,
    which is the paper's method. LOSS_MASK (B, L) says which tokens count, all by default; a document's first token has
    no loss, and a document without a token that counts has the loss 0.
    """
    alone, documents = read(embedded.lm, ids, mask, logits=False)
    return losses_again(embedded, alone, documents, weights, pointer, loss_mask)


def losses_again(
    embedded: OpenLM,
    alone: Reading,
    documents: Documents,
    weights: Tensor,
    pointer: bool = True,
    loss_mask: Tensor | None = None,
) -> Tensor:
    """Return what `document_losses` does, from the first pass on: to try several WEIGHTS on the same documents."""
    reading = attend(embedded.lm, documents, weights, logits=False)
    head = embedded.pointer if pointer else None
    return mean_losses(token_losses(embedded.lm, head, reading, alone, documents, weights), documents.mask, loss_mask)


def mean_losses(tokens: Tensor, mask: Tensor, loss_mask: Tensor | None = None) -> Tensor:
    """Return the mean of each row of TOKENS (B, L-1), the losses of all but the first token, over those that count."""
    counts = (mask if loss_mask is None else mask * loss_mask)[:, 1:].to(tokens.dtype)
    return (tokens * counts).sum(1) / counts.sum(1).clamp_min(1)


def create(seed: int, tokenizer: Tokenizer) -> EmbeddedLM:
    """Return an untrained LM for TOKENIZER, drawn from SEED."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lm = LlamaForCausalLM(LlamaConfig(vocab_size=tokenizer.get_vocab_size(), **SHAPE))
        return EmbeddedLM(_mixing(lm), PointerHead(lm.config.hidden_size), tokenizer)


def _mixing(lm: PreTrainedModel) -> PreTrainedModel:
    """Let every layer of LM mix its keys."""
    for layer in lm.model.layers:
        layer.self_attn.k_proj = MixedKeys(layer.self_attn.k_proj, lm.config.num_key_value_heads)
    return lm


def save(embedded: EmbeddedLM, folder: Path, provenance: dict[str, Any]) -> None:
    """Write EMBEDDED to FOLDER, whole or not at all; what was there before is replaced."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {k: v.contiguous() for k, v in embedded.state_dict().items() if k != "lm.lm_head.weight"}  # tied
    save_file(tensors, partial / _TENSORS)
    embedded.lm.config.to_json_file(partial / _CONFIG)
    embedded.tokenizer.save(str(partial / _TOKENIZER))
    about = {"format": FORMAT, "longest": embedded.longest, "pointer": embedded.pointer is not None}
    (partial / _ABOUT).write_text(json.dumps(about | {"provenance": provenance}, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def load(folder: Path) -> EmbeddedLM:
    """Return the LM that `save` wrote to FOLDER, ready to train on.

    Raises UsageError where there is none, or one of another format.
    """
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        config = LlamaConfig.from_json_file(str(folder / _CONFIG))
        tensors = load_file(folder / _TENSORS)
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} holds no usable LM ({error}); make one with revela-train joint") from error
    if about["format"] != FORMAT:
        raise UsageError(f"{folder} has format {about['format']}, this version reads {FORMAT}; train the LM again")
    with torch.random.fork_rng(devices=[]):
        lm = _mixing(LlamaForCausalLM(config))
        head = PointerHead(config.hidden_size) if about["pointer"] else None
    embedded = EmbeddedLM(lm, head, tokenizer, about["longest"])
    tensors["lm.lm_head.weight"] = tensors["lm.model.embed_tokens.weight"]
    embedded.load_state_dict(tensors)
    return embedded


def shipped() -> Path:
    """Return the folder of the LM that comes with the package."""
    return Path(__file__).parent / "models" / "lm"
