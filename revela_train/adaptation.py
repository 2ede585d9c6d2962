"""Adapting a retriever to one repository, from what the repository itself offers: minutes, on a processor.

    material (documents.py) ─▶ pairs ─ contrast ─┐
                            └▶ groups ─ Revela ──┴▶ difference to the base (adapt.py) ─▶ retriever

Nothing here knows who asks what: development questions come with the run, say when to stop, and are never learnt from.
The LM goes on learning meanwhile, and is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
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
from revela_train.batches import Bags, PairSampler
from revela_train.config import CODE, AdaptConfig, Objective, PretrainConfig, RevelaConfig
from revela_train.documents import Material
from revela_train.groups import Group, GroupConfig, GroupSampler, only
from revela_train.joint import Balance, Heard, gain, heard, revela_loss, weights_of
from revela_train.lm import EmbeddedLM
from revela_train.loop import rate
from revela_train.objective import encoded, pairs_loss
from revela_train.retriever import StaticRetriever
from revela_train.revela import losses, similarities

_UNSEEN: Final = 10
"""Every so many-th cluster of documents stays out of training, to measure the LM on."""
_MEASURED: Final = 8
"""Groups of those."""
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


def adapt(
    base: StaticRetriever,
    counts: Tensor,
    material: Material,
    embedded: EmbeddedLM | None,
    development: Development | None,
    config: AdaptConfig,
) -> Generator[Trained, None, Adapted]:
    """Adapt BASE, whose pieces occurred COUNTS (V,) times in pretraining, to MATERIAL; yield how it goes.

    EMBEDDED, needed but for pairs alone, is changed. Raises TooLittleError for material that is too small.
    """
    chunks = len(material.pieces.repository)
    if chunks < FEWEST:
        raise TooLittleError(f"{chunks} distinct chunks are too few to learn from; {FEWEST} are needed")
    torch.manual_seed(config.seed)
    paper = config.objective is Objective.REVELA
    judged = development is not None and len(development.right) >= _JUDGED
    if not judged:
        config = replace(config, rate=config.careful_rate)
    model = Anchored(base, counts, _FREE if paper else config.anchor)
    pairs = None if paper or config.share >= 1 else _pairs(material, config)
    groups, unseen = (None, []) if config.objective is Objective.PAIRS else _groups(material, config)
    if groups is not None and embedded is None:
        raise UsageError("Revela needs an LM")
    if groups is None and pairs is None:
        raise TooLittleError("too few files have several documents for Revela to learn from; use pairs")
    trainer = _Trainer(model, embedded if groups else None, pairs, groups, config, chunks)
    before = best = development.mrr(model) if development else 0.0
    kept, kept_step, waited = model.difference.detach().clone(), 0, 0
    while not trainer.over:
        trainer.step()
        last = trainer.over
        if trainer.steps % config.evaluate_every and not last:
            continue
        mrr = development.mrr(model) if development and development.right else None
        shown = None
        if unseen and embedded is not None:
            shown = gain(trainer.weights_of, embedded, unseen[0], pointer=config.pointer and not paper)
        yield Trained(trainer.steps, config.steps, trainer.progress, trainer.loss, shown, before, mrr, trainer.seconds)
        if not judged or (mrr is not None and mrr > best):
            best, waited = mrr or best, 0
            kept, kept_step = model.difference.detach().clone(), trainer.steps
        elif (waited := waited + 1) >= config.patience:
            break
    with torch.no_grad():
        model.difference.copy_(kept if paper else kept * config.distance)
    after = development.mrr(model) if development else 0.0
    found = None
    if groups is not None and embedded is not None and unseen:
        found = heard(trainer.weights_of, embedded, unseen, pointer=config.pointer and not paper)
    return Adapted(model.retriever(), kept_step, trainer.seconds, before, after, trainer.shares, found)


class _Trainer:
    """One run's models, optimiser and clock."""

    def __init__(
        self,
        model: Anchored,
        embedded: EmbeddedLM | None,
        pairs: PairSampler | None,
        groups: GroupSampler | None,
        config: AdaptConfig,
        chunks: int,
    ) -> None:
        self.steps = 0
        self.shares: list[float] = []
        self.loss: float | None = None
        """Of the LM in the last step."""
        self._model, self._embedded, self._pairs, self._groups, self._config = model, embedded, pairs, groups, config
        self._balance = Balance(min(config.share, 0.99))
        self._own = [model.difference]
        self._of_lm = list(embedded.parameters()) if embedded else []
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
        self._budget, self._work = config.budget, budget_for(chunks)
        self._began, self._worked = time.monotonic(), time.thread_time()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """How far the run is, from 0 to 1, by steps or by seconds, whichever is further.

        Seconds are the clock's where somebody set a budget, else those that this process was let to work.
        """
        if self._budget is not None:
            spent = self.seconds / self._budget
        else:
            spent = max((time.thread_time() - self._worked) / self._work, self.seconds / (_BUSY * self._work))
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
        thousandth = int(1000 * self.progress)
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate(thousandth, 1000)
        self._optimiser.zero_grad()
        pairs = pairs_loss(self._model.bags, self._pairs(self.steps), self._config.temperature) if self._pairs else None
        revela = None
        if self._groups and (self._pairs is None or self.steps % self._config.revela_every == 0):
            revela = self._of_revela(self._groups(self.steps))
        if pairs is not None and revela is not None:
            self._balance(self._own, self._of_lm, pairs, revela)
            self.shares.append(self._balance.share)
        else:
            if self._groups and pairs is not None:
                self.shares.append(0.0)
            total = pairs if revela is None else revela
            assert total is not None, "there are pairs or groups"
            total.backward()
        if revela is not None:
            self.loss = revela.item()
            nn.utils.clip_grad_norm_(self._of_lm, 1.0)
        self._optimiser.step()
        self.steps += 1

    def _of_revela(self, group: Group) -> Tensor:
        assert self._embedded is not None, "groups come with an LM"
        if self._config.objective is Objective.REVELA:
            vectors = encoded(self._model.bags, group.bags)
            return losses(similarities(vectors, vectors), self._embedded.lm, group.ids, group.mask, CODE).total
        return revela_loss(self._model.bags, self._embedded, group, self.temperature, pointer=self._config.pointer)


def _pairs(material: Material, config: AdaptConfig) -> PairSampler:
    chunks = len(material.pieces.repository)
    batch = min(config.batch, chunks // 2)
    documented = int((np.diff(material.pieces.doc.offsets) >= 3).sum())
    # Each text is met about as often as each body is.
    doc_share = min(config.doc_share, 2 * documented / chunks)
    name_share = 1 - doc_share - config.half_share
    drawn = PretrainConfig(
        seed=config.seed, batch=batch, repositories_a_batch=1, doc_share=doc_share, name_share=name_share
    )
    return PairSampler(material.pieces, drawn, links=material.links, link_share=config.link_share)


def _groups(material: Material, config: AdaptConfig) -> tuple[GroupSampler | None, list[Group]]:
    """Return what groups are drawn from, and groups of other documents to measure on."""
    if material.library is None:
        return None, []
    drawn = GroupConfig(seed=config.seed, asked=config.asked and config.objective is not Objective.REVELA)
    out = material.library.cluster % _UNSEEN == _UNSEEN // 2
    groups = GroupSampler(only(material.library, ~out), drawn)
    if not len(groups):
        return None, []
    unseen = GroupSampler(only(material.library, out), replace(drawn, distractors=0))
    return groups, [unseen(i) for i in range(_MEASURED)] if len(unseen) >= drawn.documents else []


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
