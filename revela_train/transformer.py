"""A retriever made of a transformer: any encoder or causal model of `transformers`, pooled, unit length.

An encoder, which reads both ways, is pooled as its folder says (sentence-transformers' files) or by the mean of its
states. A causal model is read up to an end token whose state is the embedding, with the paper's prefixes that say
whether a text asks or answers. The tokenizer that trains is the one that goes into the bundle, end token and all.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer, processors
from torch import Tensor, nn
from transformers import PreTrainedModel

from codesearch.errors import UsageError
from codesearch.types import Role
from revela_train import hub
from revela_train.config import CODE
from revela_train.hub import Source
from revela_train.lm import OpenLM, padded

LONGEST: Final = 512
"""Tokens that a retriever reads, where it could read more: the chunker's parts are about as long."""
_TOGETHER: Final = 1 << 13
"""Tokens, padding included, encoded at once where nothing is learnt."""


class Pooling(StrEnum):
    """How the states of a text become one vector."""

    MEAN = "mean"
    FIRST = "first"
    """The state of the token that stands before the text, BERT's [CLS]."""
    LAST = "last"
    """The state of the token that closes it."""


class TransformerRetriever(nn.Module):
    """A transformer with its tokenizer; an Encoder, too, while it is trained."""

    fingerprint = "in training"
    adapted = False
    contextual = True

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        pooling: Pooling,
        *,
        longest: int = LONGEST,
        query_prefix: str = "",
        passage_prefix: str = "",
    ) -> None:
        """Hold MODEL and TOKENIZER, which puts what tokens it wants around a text."""
        super().__init__()
        self.model, self.tokenizer, self.pooling = model, tokenizer, pooling
        self.longest = longest
        """Tokens that are read where nothing is learnt."""
        self.prefixes: dict[Role, str] = {"query": query_prefix, "passage": passage_prefix}

    @classmethod
    def open(cls, source: Source, *, longest: int | None = None, dtype: torch.dtype = torch.float32) -> Self:
        """Return SOURCE as a retriever that reads at most LONGEST tokens; by default as many as it can, up to LONGEST.

        Raises UsageError where it can not be one.
        """
        model, tokenizer = hub.load(source, dtype=dtype), hub.tokenizer(source)
        causal = any(getattr(part, "is_causal", False) for part in model.modules())
        pooling = _pooling(source, causal)
        if pooling is Pooling.LAST:
            _close(tokenizer, source)
        prompts = source.about("config_sentence_transformers.json").get("prompts", {})
        asks, answers = (CODE.query_prefix, CODE.passage_prefix) if causal and not prompts else ("", "")
        made = cls(
            model,
            tokenizer,
            pooling,
            longest=min(longest or LONGEST, _most(source)),
            query_prefix=prompts.get("query", asks),
            passage_prefix=prompts.get("passage", prompts.get("document", answers)),
        )
        return made.eval()

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return unit vectors (B, D), float32, of tokens (B, L), right-padded; the form that is exported."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()  # (B, L, D)
        match self.pooling:
            case Pooling.FIRST:
                pooled = states[:, 0]
            case Pooling.LAST:
                last = (attention_mask.sum(1) - 1)[:, None, None].expand(-1, 1, states.shape[-1])
                pooled = states.gather(1, last).squeeze(1)
            case Pooling.MEAN:
                counted = attention_mask.unsqueeze(-1).to(states.dtype)
                pooled = (states * counted).sum(1) / counted.sum(1).clamp_min(1)
        return F.normalize(pooled, dim=-1)

    def tokenise(
        self, texts: Sequence[str], role: Role, *, longest: int | None = None, half: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return tokens and mask (B, L) of TEXTS, each with the prefix of its ROLE, L at most LONGEST, or what it can.

        If HALF, only the first half of each, counted in the tokens of prefix and text together, rounded down, as in the
        released code; what closes a text closes its half.
        """
        self.tokenizer.enable_truncation(min(longest or self.longest, self.longest))
        prefixed = [self.prefixes[role] + text for text in texts]
        if half:
            encoded = self.tokenizer.encode_batch(prefixed, add_special_tokens=False)
            for one in encoded:
                one.truncate(max(1, len(one.ids) // 2))
            encoded = [self.tokenizer.post_process(one) for one in encoded]
        else:
            encoded = self.tokenizer.encode_batch_fast(prefixed)
        ids, mask = padded([one.ids for one in encoded])
        return ids.to(self.device), mask.to(self.device)

    def vectors(self, texts: Sequence[str], role: Role, *, longest: int | None = None, half: bool = False) -> Tensor:
        """Return unit vectors (B, D) of TEXTS, to learn from; see `tokenise`."""
        vectors: Tensor = self(*self.tokenise(texts, role, longest=longest, half=half))
        return vectors

    def both(self, texts: Sequence[str], *, longest: int | None = None) -> tuple[Tensor, Tensor]:
        """Return TEXTS as queries and as passages, unit vectors (B, D) each, to learn from; see `tokenise`.

        In one run: a GPU waits for each layer to be called, hardly for what it computes.
        """
        tokens = [self.tokenise(texts, role, longest=longest) for role in ("query", "passage")]
        length = max(ids.shape[1] for ids, _ in tokens)
        ids, mask = (
            torch.cat([F.pad(one, (0, length - one.shape[1])) for one in two]) for two in zip(*tokens, strict=True)
        )
        queries, passages = self(ids, mask).chunk(2)
        return queries, passages

    @torch.no_grad()
    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return unit vectors, (len(texts), dimensions), on the processor: nothing is learnt, dropout is off."""
        training = self.training
        self.eval()
        made = np.zeros((len(texts), self.dimensions), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        most = max(1, _TOGETHER // self.longest)
        for start in range(0, len(order), most):
            rows = order[start : start + most]
            made[rows] = self.vectors([texts[i] for i in rows], role).cpu().numpy()
        self.train(training)
        return made


class HubLM(OpenLM):
    """A causal LM of others: it reads the text as it stands, and has no pointer head, which it can do without."""

    @classmethod
    def open(cls, source: Source, *, longest: int, dtype: torch.dtype = torch.float32) -> Self:
        """Return SOURCE, opened to other documents, of which it reads at most LONGEST tokens each.

        Raises UsageError where it is no causal LM whose attention can be opened.
        """
        return cls(hub.load(source, lm=True, dtype=dtype), None, hub.tokenizer(source), min(longest, _most(source)))

    def spelled(self, text: str) -> str:
        """Return TEXT."""
        return text


def adapters(model: PreTrainedModel, rank: int, alpha: int, dropout: float) -> PreTrainedModel:
    """Put low-rank adapters on every linear layer of MODEL, in place, and leave only them to be learnt.

    LoRA, Hu et al. 2021, equation 3: W + alpha / rank · B A. In float32 whatever the weights are in.

    Raises:
        UsageError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError(
            "low-rank adapters need peft. Install codesearch with its extra `backbones`, or train in full: --lora 0."
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for a thing by its old name
        made = get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=_LINEAR))
    return made.get_base_model()  # type: ignore[no-any-return]


def merged(model: nn.Module) -> nn.Module:
    """Return MODEL with what `adapters` added, if anything, taken into its weights; it is changed in place."""
    for name, part in list(model.named_modules()):
        if hasattr(part, "merge") and hasattr(part, "get_base_layer"):
            part.merge()
            model.set_submodule(name, part.get_base_layer())
    return model


_LINEAR: Final = "all-linear"
"""peft's name for every linear layer but the head's."""


def _pooling(source: Source, causal: bool) -> Pooling:
    said = source.about("1_Pooling/config.json")
    modes = {
        "pooling_mode_mean_tokens": Pooling.MEAN,
        "pooling_mode_cls_token": Pooling.FIRST,
        "pooling_mode_lasttoken": Pooling.LAST,
    }
    wanted = [name for name, on in said.items() if name.startswith("pooling_mode_") and on is True]
    if len(wanted) == 1 and wanted[0] in modes:
        return modes[wanted[0]]
    if wanted:
        raise UsageError(
            f"{source.name} is pooled by {', '.join(wanted)}; supported are the mean, the first and the last"
        )
    return Pooling.LAST if causal else Pooling.MEAN


def _close(tokenizer: Tokenizer, source: Source) -> None:
    """Let TOKENIZER end every text with SOURCE's end token, if it does not yet; what it puts before one stays."""
    closing = _end(source)
    end = tokenizer.token_to_id(closing) if closing else None
    if closing is None or end is None:
        raise UsageError(f"{source.name} has no end token whose state could be the embedding.")
    whole, bare = tokenizer.encode("a"), tokenizer.encode("a", add_special_tokens=False)
    if whole.ids[-1] == end:
        return
    opening = whole.tokens[: len(whole.ids) - len(bare.ids)]
    # One template for both: behind another processor a second one adds nothing.
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=" ".join([*opening, "$A", closing]),
        special_tokens=[*zip(opening, whole.ids, strict=False), (closing, end)],
    )


def _end(source: Source) -> str | None:
    said = source.about("tokenizer_config.json").get("eos_token") or source.about("special_tokens_map.json").get(
        "eos_token"
    )
    found: Any = said.get("content") if isinstance(said, dict) else said
    return found if isinstance(found, str) else None


def _most(source: Source) -> int:
    """Return how many tokens SOURCE can read."""
    most = getattr(source.config, "max_position_embeddings", None) or LONGEST
    if source.family in _AFTER_PADDING:
        most -= 2
    limit = source.about("sentence_bert_config.json").get("max_seq_length")
    return min(int(most), int(limit)) if isinstance(limit, int) and limit > 0 else int(most)


_AFTER_PADDING: Final = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Families whose first token has the position after the padding's, which is 1."""
