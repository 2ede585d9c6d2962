"""Training a transformer as retriever: the paper's method at the paper's sizes, or ours for one repository.

    groups ─ vectors ─ S ─ W ─ LM ─▶ Revela's gradient ─┐ summed over the processes
    pairs ── vectors of all ──────▶ contrast's gradient ┴▶ blended, clipped, AdamW

A step's draws, dropout and rates depend on the seed and the step alone: a run that was killed and resumed has the same
losses, and two processes learn what one learns from twice as many groups.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from codesearch.errors import UsageError
from revela_train import checkpoint
from revela_train.adaptation import TooLittleError
from revela_train.config import FinetuneConfig, Objective
from revela_train.distributed import World
from revela_train.joint import Balance, learn
from revela_train.lm import OpenLM, document_losses
from revela_train.loop import rate
from revela_train.objective import contrast
from revela_train.revela import document_weights, losses, similarities
from revela_train.texts import TextGroup, TextGroups, TextPairSampler
from revela_train.transformer import TransformerRetriever

_FINE: Final = 10_000
"""Steps that progress is told in, where the clock makes it."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """Where a run stands."""

    step: int
    progress: float
    """From 0 to 1, by steps or by time, whichever is further."""
    loss: float | None
    """Of the LM with a look at the other documents, nats a token; None without one."""
    contrast: float | None
    """Of the pairs, nats; None without any."""
    tokens: int
    """That the LM has read so far in this process, each pass counted once."""
    seconds: float


@dataclass(slots=True)
class Finetuning:
    """A run: both models, what they are shown, and where they stand."""

    retriever: TransformerRetriever
    lm: OpenLM | None
    groups: TextGroups | None
    pairs: TextPairSampler | None
    config: FinetuneConfig
    world: World = field(default_factory=World)
    shares: list[float] = field(default_factory=list)
    """Revela's of the retriever's gradient, a step."""
    history: list[tuple[float | None, float | None]] = field(default_factory=list)
    """Losses of the LM and of the pairs, a step."""
    seconds: float = 0.0
    _tokens: int = 0

    def __post_init__(self) -> None:
        """Raise TooLittleError where there is nothing to learn from, UsageError where it can not be shared."""
        if (self.groups is None or self.lm is None) and self.pairs is None:
            raise TooLittleError("there is too little to learn from: neither groups of documents nor pairs")
        for name, count in (("groups", self.config.groups), ("pairs", self.config.pairs)):
            if count % self.world.size:
                raise UsageError(f"{count} {name} a step can not be shared by {self.world.size} processes")

    @property
    def progress(self) -> float:
        """How far it is."""
        if not self.config.steps:
            return 1.0
        spent = self.seconds / self.config.budget if self.config.budget else 0.0
        return min(max(len(self.history) / self.config.steps, spent), 1.0)

    def weights_of(self, group: TextGroup) -> Tensor:
        """Return W (B, B) of GROUP: how much each document, by its query or as its own, wants of each other."""
        return document_weights(self._similarities(group), self.config.revela.temperature_at(self.progress))

    def run(self, folder: Path | None = None) -> Iterator[Stepped]:
        """Train both models in place, from the checkpoint in FOLDER where there is one; yield each step.

        Raises UsageError where FOLDER holds another run.
        """
        config = self.config
        own, of_lm = learnt(self.retriever), learnt(self.lm) if self.lm and self.groups else []
        optimiser = torch.optim.AdamW(
            [{"params": own, "lr": config.rate}, {"params": of_lm, "lr": config.lm_rate}], weight_decay=0.0
        )
        peaks = [group["lr"] for group in optimiser.param_groups]
        both = nn.ParameterList([*own, *of_lm])
        balance = Balance(config.share)
        if folder is not None and (stood := checkpoint.load(folder, both, optimiser)) is not None:
            self._resume(stood, balance, folder)
        self.retriever.train()
        if self.lm is not None:
            self.lm.train()
        began = time.monotonic() - self.seconds
        while self.progress < 1:
            step, done = len(self.history), self.progress
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * self._rate(step, done)
            loss, contrast = self._gradients(step, own, of_lm, balance)
            nn.utils.clip_grad_norm_(own, config.clip)
            if of_lm:
                nn.utils.clip_grad_norm_(of_lm, config.clip)
            optimiser.step()
            optimiser.zero_grad()
            self.history.append((loss, contrast))
            self.seconds = time.monotonic() - began
            taken = len(self.history)
            if folder is not None and (taken % config.checkpoint_every == 0 or self.progress >= 1):
                if self.world.first:
                    checkpoint.save(folder, taken, both, optimiser, self._stands(balance))
                self.world.wait()
            yield Stepped(taken, self.progress, loss, contrast, self._tokens, self.seconds)
        self.retriever.eval()

    def _rate(self, step: int, done: float) -> float:
        if self.config.budget is None:
            return rate(step, self.config.steps, self.config.warm_up)
        warm = round(_FINE * self.config.warm_up / self.config.steps)
        return rate(int(_FINE * done), _FINE, warm)

    def _gradients(
        self, step: int, own: list[nn.Parameter], of_lm: list[nn.Parameter], balance: Balance
    ) -> tuple[float | None, float | None]:
        """Set the gradients of both models; return the losses of the LM and of the pairs."""
        config, world = self.config, self.world
        torch.manual_seed(hash((config.seed, step, world.rank)) % 2**31)  # dropout
        pairs = partial(self._contrast, self.pairs, step) if self.pairs is not None else None
        revela = partial(self._of_group, self.groups, step) if self.groups is not None and self.lm is not None else None
        losses = learn(own, of_lm, balance, world, pairs, revela, config.groups)
        if pairs is not None and revela is not None:
            self.shares.append(balance.share)
        return losses

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _contrast(self, pairs: TextPairSampler, step: int) -> Tensor:
        """Return the contrastive loss of the PAIRS of STEP, of which this process encodes its part."""
        mine = pairs(step).part(self.world.rank, self.world.size)
        with self._precision():
            queries, passages = (
                self.retriever.vectors(texts, role, longest=self.config.longest)
                for texts, role in ((mine.queries, "query"), (mine.passages, "passage"))
            )
        body = torch.from_numpy(mine.body)
        return contrast(queries, passages, body, self.config.pair_temperature, self.world)

    def _of_group(self, groups: TextGroups, step: int, number: int) -> Tensor:
        """Return the loss of the LM on one of the GROUPS of STEP, by its NUMBER."""
        with self._precision():
            return self._revela(groups(step * self.config.groups + number))

    def _similarities(self, group: TextGroup) -> Tensor:
        longest, half = self.config.longest, self.config.revela.first_half
        if group.queries is None and not half:
            return similarities(*self.retriever.both(group.documents, longest=longest))
        passages = self.retriever.vectors(group.documents, "passage", longest=longest)
        if group.queries is None:
            queries = self.retriever.vectors(group.documents, "query", longest=longest, half=True)
        else:
            queries = self.retriever.vectors(group.queries, "query", longest=longest)
        return similarities(queries, passages)

    def _revela(self, group: TextGroup) -> Tensor:
        """Return the loss of the LM on GROUP: the published one, or ours where documents are asked for."""
        assert self.lm is not None, "groups come with an LM"
        ids, mask = group.ids, group.mask
        self._tokens += int(mask.sum())
        scores = self._similarities(group)
        if self.config.objective is Objective.REVELA:
            return losses(scores, self.lm.lm, ids, mask, self.config.revela, self.progress).total
        weights = document_weights(scores, self.config.revela.temperature_at(self.progress))
        return document_losses(self.lm, ids, mask, weights, loss_mask=group.counted).mean()

    def _stands(self, balance: Balance) -> dict[str, Any]:
        stands = {"history": self.history, "shares": self.shares, "norms": balance.norms, "seconds": self.seconds}
        return {"config": asdict(self.config)} | stands

    def _resume(self, stood: dict[str, Any], balance: Balance, folder: Path) -> None:
        if stood["config"] != asdict(self.config):
            raise UsageError(f"{folder} holds a run with another configuration; name another folder, or remove it")
        self.history = [(loss, contrast) for loss, contrast in stood["history"]]
        self.shares, self.seconds = stood["shares"], stood["seconds"]
        balance.norms = tuple(stood["norms"]) if stood["norms"] else None


def learnt(model: nn.Module) -> list[nn.Parameter]:
    """Return what of MODEL is learnt: all of it, or its adapters."""
    return [one for one in model.parameters() if one.requires_grad]
