"""Adapting a retriever to one repository, from what the repository itself offers: minutes, on a processor.

    shown (shown.py) ─▶ pairs ─ contrast ─┐
                     └▶ groups ─ Revela ──┴▶ difference to the base (adapt.py) ─▶ retriever

Nothing here knows who asks what: development questions come with the run, say when to stop, and are never learnt from.
The LM goes on learning meanwhile, and is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from codesearch.adaptation import FEWEST
from codesearch.encode import HEADING
from codesearch.errors import UsageError
from codesearch.events import Trained
from revela_train.adapt import Anchored
from revela_train.batches import Bags, PairBatch
from revela_train.checkpoint import Kept
from revela_train.config import CODE, AdaptConfig, Objective, RevelaConfig
from revela_train.distributed import ALONE, World
from revela_train.groups import Group
from revela_train.joint import Balance, Heard, gain, heard, learn, revela_loss, weights_of
from revela_train.lm import EmbeddedLM
from revela_train.loop import rate
from revela_train.objective import encoded, pairs_loss
from revela_train.retriever import StaticRetriever
from revela_train.revela import losses, similarities
from revela_train.shown import Shown

_JUDGED: Final = 20
"""Development questions from which on they say when to stop; fewer say nothing."""
_LEAST: Final = 60.0
_A_CHUNK: Final = 0.006
_MOST: Final = 180.0
"""Seconds of training: at least, more for each chunk, at most. 90 for 5,000 chunks."""
_BUSY: Final = 3.0
"""How many times as long it may take by the clock where other work has the processor. Half of a training is not worth
half of the whole, and whoever gave no budget is not waiting for it."""
_FREE: Final = 1e12
"""An anchor that holds nothing back."""


class TooLittleError(UsageError):
    """There is too little to learn from."""


def budget_for(chunks: int) -> float:
    """Return the seconds that training on CHUNKS may take by default, on a machine with nothing else to do."""
    return min(_LEAST + _A_CHUNK * chunks, _MOST)


@dataclass(frozen=True, slots=True)
class Development:
    """Questions that say when to stop, with what they are asked of."""

    questions: Bags
    documents: Bags
    headings: Bags
    """Of every chunk, what is embedded for search (`codesearch.encode.passages`)."""
    right: tuple[tuple[int, ...], ...]
    """For each question, the documents that answer it."""

    @torch.no_grad()
    def mrr(self, retriever: Anchored) -> float:
        """Return the mean reciprocal rank of the first right document of each question."""
        asked = encoded(retriever.bags, self.questions)
        documents, headings = encoded(retriever.bags, self.documents), encoded(retriever.bags, self.headings)
        held = F.normalize(documents + HEADING * headings, dim=-1)
        reciprocal = []
        for vector, right in zip(asked, self.right, strict=True):
            scores = held @ vector
            reciprocal.append(1 / int((scores >= scores[list(right)].max()).sum()))
        return float(np.mean(reciprocal)) if reciprocal else 0.0


@dataclass(slots=True)
class Adapted:
    """What a run gave."""

    retriever: StaticRetriever | None
    """None where it was trained in place."""
    steps: int
    """Steps of the retriever that was kept."""
    seconds: float
    before: float
    """Mean reciprocal rank of the development questions with the base; 0 without questions."""
    after: float
    shares: list[float] = field(default_factory=list)
    """Revela's of the retriever's gradient, step by step."""
    heard: Heard | None = None
    """What the LM made of unseen documents at the end; None without an LM, or without documents enough."""
    history: list[tuple[float | None, float | None]] = field(default_factory=list)
    """Losses of the LM and of the pairs, step by step."""


def adapt(
    base: StaticRetriever,
    counts: Tensor,
    shown: Shown,
    embedded: EmbeddedLM | None,
    development: Development | None,
    config: AdaptConfig,
    us: World = ALONE,
    kept: Kept | None = None,
) -> Generator[Trained, None, Adapted]:
    """Adapt BASE, whose pieces occurred COUNTS (V,) times in pretraining, to what is SHOWN; yield how it goes.

    EMBEDDED, needed but for pairs alone, is changed. Process US has its part of every step; DEVELOPMENT is the first
    one's, and what it says goes for all. What is KEPT of an earlier run by CONFIG is gone on from, with the same losses
    if steps alone end it. Raises TooLittleError where little is shown, UsageError where it can not be shared.
    """
    if shown.chunks < FEWEST:
        raise TooLittleError(f"{shown.chunks} distinct chunks are too few to learn from; {FEWEST} are needed")
    torch.manual_seed(config.seed)
    paper = config.objective is Objective.REVELA
    judged = bool(us.told(development is not None and len(development.right) >= _JUDGED))
    if not judged:
        config = replace(config, rate=config.careful_rate)
    model = Anchored(base, counts, _FREE if paper else config.anchor)
    if shown.groups is not None and embedded is None:
        raise UsageError("Revela needs an LM")
    if shown.groups is None and shown.pairs is None:
        raise TooLittleError("too few files have several documents for Revela to learn from; use pairs")
    trainer = _Trainer(model, embedded, shown, config, us)
    before = development.mrr(model) if development else 0.0
    best = _Best(model.difference.detach().clone(), before)
    if kept is not None:
        trainer.resume(kept, best)
    while not trainer.over and best.waited < config.patience:
        trainer.step()
        last = trainer.over
        if trainer.steps % config.evaluate_every == 0 or last:
            mrr = development.mrr(model) if development and development.right else None
            heard_now = None
            if shown.unseen and embedded is not None and us.first:
                heard_now = gain(trainer.weights_of, embedded, shown.unseen[0], pointer=config.pointer and not paper)
            if us.told(not judged or (mrr is not None and mrr > best.mrr)):
                best.take(model.difference, trainer.steps, mrr)
            else:
                best.waited += 1
            said = trainer.progress, trainer.loss, heard_now, before, mrr, trainer.seconds
            yield Trained(trainer.steps, config.steps, *said)
        if kept is not None and us.first and (trainer.steps % config.checkpoint_every == 0 or last):
            trainer.save(kept, best)
    with torch.no_grad():
        model.difference.copy_(best.difference if paper else best.difference * config.distance)
    after = development.mrr(model) if development else 0.0
    found = None
    if shown.groups is not None and embedded is not None and shown.unseen and us.first:
        found = heard(trainer.weights_of, embedded, shown.unseen, pointer=config.pointer and not paper)
    made = model.retriever()
    return Adapted(made, best.step, trainer.seconds, before, after, trainer.shares, found, trainer.history)


@dataclass(slots=True)
class _Best:
    """What answers the development questions best so far, and for how many looks it has."""

    difference: Tensor
    mrr: float
    step: int = 0
    waited: int = 0

    def take(self, difference: Tensor, step: int, mrr: float | None) -> None:
        self.difference.copy_(difference.detach())
        self.mrr, self.step, self.waited = mrr or self.mrr, step, 0


class _Trainer:
    """One run's models, optimiser and clock."""

    def __init__(
        self, model: Anchored, embedded: EmbeddedLM | None, shown: Shown, config: AdaptConfig, us: World
    ) -> None:
        for name, count in (("groups", config.groups), ("pairs", config.batch)):
            if count % us.size:
                raise UsageError(f"{count} {name} a step can not be shared by {us.size} processes")
        self.history: list[tuple[float | None, float | None]] = []
        """Losses of the LM and of the pairs, a step."""
        self.shares: list[float] = []
        self.loss: float | None = None
        """Of the LM in the last step that had it."""
        self._model, self._shown, self._config, self._us = model, shown, config, us
        self._embedded = embedded if shown.groups else None
        self._balance = Balance(min(config.share, 0.99))
        self._own = [model.difference]
        self._of_lm = list(self._embedded.parameters()) if self._embedded else []
        paper = config.objective is Objective.REVELA
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self._own, "lr": 1e-4 if paper else config.rate},
                {"params": self._of_lm, "lr": 1e-4 if paper else config.lm_rate},
            ],
            weight_decay=0.0,
            fused=True,  # most of a step without Revela is the optimiser's, over a table of which few rows moved
        )
        self._peaks = [group["lr"] for group in self._optimiser.param_groups]
        self._work = budget_for(shown.chunks)
        self._began, self._worked = time.monotonic(), time.thread_time()

    @property
    def steps(self) -> int:
        return len(self.history)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """How far the run is, from 0 to 1, by steps or by seconds, whichever is further.

        Seconds are the clock's where somebody set a budget, else those that this process was let to work.
        """
        budget = self._config.budget
        if budget is None:
            spent = max((time.thread_time() - self._worked) / self._work, self.seconds / (_BUSY * self._work))
        else:
            spent = self.seconds / budget if budget else 0.0
        return min(max(self.steps / self._config.steps, spent), 1.0)

    @property
    def over(self) -> bool:
        return self.progress >= 1

    @property
    def temperature(self) -> float:
        config = self._config
        if config.objective is Objective.REVELA:
            return CODE.temperature
        cooled = RevelaConfig(temperature=config.weights_temperature, last_temperature=config.last_temperature)
        return cooled.temperature_at(self.progress)

    def weights_of(self, group: Group) -> Tensor:
        """Return the W (B, B) of GROUP as the retriever sees it now."""
        return weights_of(self._model.bags, group, self.temperature)

    def step(self) -> None:
        config, shown = self._config, self._shown
        thousandth = int(1000 * self.progress)
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate(thousandth, 1000)
        self._optimiser.zero_grad()
        pairs = partial(self._of_pairs, shown.pairs) if shown.pairs else None
        due = shown.pairs is None or self.steps % config.revela_every == 0
        revela = partial(self._of_revela, shown.groups) if shown.groups and due else None
        found = learn(self._own, self._of_lm, self._balance, self._us, pairs, revela, config.groups)
        if shown.groups and shown.pairs:
            self.shares.append(self._balance.share if due else 0.0)
        if revela is not None:
            self.loss = found[0]
            nn.utils.clip_grad_norm_(self._of_lm, 1.0)
        self._optimiser.step()
        self.history.append(found)

    def _of_pairs(self, pairs: Callable[[int], PairBatch]) -> Tensor:
        return pairs_loss(self._model.bags, pairs(self.steps), self._config.temperature, self._us)

    def _of_revela(self, groups: Callable[[int], Group], number: int) -> Tensor:
        assert self._embedded is not None, "groups come with an LM"
        group = groups(self.steps * self._config.groups + number)
        if self._config.objective is Objective.REVELA:
            vectors = encoded(self._model.bags, group.bags)
            return losses(similarities(vectors, vectors), self._embedded.lm, group.ids, group.mask, CODE).total
        return revela_loss(self._model.bags, self._embedded, group, self.temperature, pointer=self._config.pointer)

    def save(self, kept: Kept, best: _Best) -> None:
        """Have all KEPT that `resume` needs."""
        stands = {"history": self.history, "shares": self.shares, "loss": self.loss, "norms": self._balance.norms}
        stands |= {"best": [best.mrr, best.step, best.waited], "config": asdict(self._config)}
        kept.save(self.steps, self._learnt(best), self._optimiser, stands)

    def resume(self, kept: Kept, best: _Best) -> None:
        """Go on from where a run stood, if one is KEPT."""
        stood = kept.load(self._learnt(best), self._optimiser)
        if stood is None:
            return
        if stood["config"] != asdict(self._config):
            raise UsageError(f"{kept.uri} holds a run with another configuration; name another place, or remove it")
        self.history = [(loss, contrast) for loss, contrast in stood["history"]]
        self.shares, self.loss = stood["shares"], stood["loss"]
        self._balance.norms = tuple(stood["norms"]) if stood["norms"] else None
        best.mrr, best.step, best.waited = stood["best"]

    def _learnt(self, best: _Best) -> nn.Module:
        return nn.ParameterList([*self._own, *self._of_lm, nn.Parameter(best.difference, requires_grad=False)])


def development(
    questions: Sequence[NDArray[np.int64]],
    documents: Sequence[NDArray[np.int64]],
    headings: Sequence[NDArray[np.int64]],
    right: Sequence[Sequence[int]],
) -> Development:
    """Return QUESTIONS, DOCUMENTS and their HEADINGS, each a text's pieces; RIGHT says which document answers which."""

    def packed(rows: Sequence[NDArray[np.int64]]) -> Bags:
        return Bags.of([np.unique(row).astype(np.uint16) if len(row) else np.zeros(1, np.uint16) for row in rows])

    return Development(packed(questions), packed(documents), packed(headings), tuple(map(tuple, right)))
