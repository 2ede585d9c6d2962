"""What a training run is made of: one frozen object a run, written into its checkpoint and its model card."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Pretraining of the static base retriever."""

    pieces: int = 30_000
    """Size of the tokenizer's vocabulary."""
    dimensions: int = 256
    seed: int = 0
    steps: int = 3000
    batch: int = 1024
    """Pairs a step; each is every other one's negative."""
    repositories_a_batch: int = 16
    """A batch is drawn from few repositories: telling neighbours apart is what search within one repository needs."""
    rate: float = 1e-3
    """Adam's peak learning rate; linear warm-up over 2 % of the steps, then linear to zero."""
    weight_rate: float = 1e-2
    """The same for the pieces' log-weights, which are few and move further."""
    temperature: float = 0.05
    doc_share: float = 0.5
    """Of the pairs: doc comment → function."""
    name_share: float = 0.25
    """Of the pairs: path, symbol → body. The rest are halves of a body."""
    longest_passage: int = 384
    """Pieces of a body that one training pair reads, from a random start where it is longer."""
    unique: bool = True
    """Count each piece of a text once, as search does."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """Pretraining of the embedded LM with the cross path open, and of the retriever by pairs and Revela together."""

    tokens: int = 4096
    """Size of the LM's vocabulary."""
    seed: int = 0
    steps: int = 3000
    alone: float = 0.3
    """Share of the steps in which the LM learns by itself: what it has to say about documents is noise until it can
    use them."""
    rate: float = 2e-4
    """Adam's peak learning rate of the retriever's table, which has been trained with pairs before."""
    lm_rate: float = 2e-3
    """The same for the LM, which is new."""
    temperature: float = 0.1
    """Of the document weights at the first step. Paper: 1e-4, an arg-max that gives most documents no gradient."""
    last_temperature: float = 0.03
    """At the last, approached geometrically."""
    share: float = 0.3
    """Revela's of the retriever's gradient."""
    blind: float = 0.2
    """Of the documents: they see no other, so that the LM knows how to read without."""
    checkpoint_every: int = 200


class Objective(StrEnum):
    """What adaptation minimises."""

    BOTH = "both"
    """Contrastive pairs and Revela, anchored by frequency: the default."""
    PAIRS = "pairs"
    """Pairs alone."""
    REVELA = "revela"
    """The paper's method and nothing of ours: its temperature, no pointer, no pairs, no anchor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptConfig:
    """Adaptation of the static base retriever to one repository."""

    objective: Objective = Objective.BOTH
    seed: int = 0
    steps: int = 300
    budget: float | None = None
    """Seconds of training by the clock; None: by size, and longer on a busy machine. Whichever of steps and seconds is
    used up first ends it, and the rate has come down to zero by then."""
    batch: int = 256
    """Pairs a step, at most half of the repository's chunks."""
    rate: float = 2e-3
    """Adam's peak learning rate of the retriever."""
    anchor: float = 1000.0
    """c0 of `adapt.Anchored`."""
    careful_rate: float = 1e-3
    """The rate where there are too few development questions to say when it is enough."""
    lm_rate: float = 3e-4
    """The same of the LM, which goes on learning, or the repository's names stay strange to it."""
    temperature: float = 0.05
    """Of the contrastive loss."""
    weights_temperature: float = 0.05
    """Of the document weights at the first step."""
    last_temperature: float = 0.03
    """At the last."""
    share: float = 0.5
    """Revela's of the retriever's gradient in a step that has both; with 1 there are no pairs."""
    revela_every: int = 2
    """Steps from one with Revela to the next: it costs four times what pairs do. So over the steps its
    share is a quarter."""
    pointer: bool = True
    asked: bool = True
    """Ask Revela's documents with words, and let the LM answer for code alone (`groups.GroupConfig.asked`)."""
    doc_share: float = 0.45
    """Of the pairs: doc comment or commit message → code. Of few texts fewer are drawn, or they are learnt by heart."""
    half_share: float = 0.4
    """Half of a body → the other half. The rest is path, symbol → body: what a repository calls things is what its
    users ask with, and needs no word of prose. It is little, as each chunk's heading is embedded by itself too."""
    link_share: float = 0.05
    """Test → what it tests, where links are known."""
    evaluate_every: int = 25
    """Steps between two looks at the development questions."""
    patience: int = 4
    """Looks without a gain after which training stops."""
    distance: float = 0.75
    """How far to go from the base to what was learnt. Weights on the way between both are as good at what was learnt,
    and keep more of what the base knew (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""
