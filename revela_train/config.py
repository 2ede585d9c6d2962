"""What a training run is made of: one frozen object a run, written into its checkpoint and its model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RevelaConfig:
    """The published choices. As it stands: the paper's recipe for code."""

    temperature: float = 1e-4
    """Divides similarities before the softmax over documents, at the first step. Paper: 1e-4 throughout. That low it is
    an arg-max: a document whose best partner leads by more than about .001 has no gradient."""
    last_temperature: float | None = None
    """The same at the last step, approached geometrically; None: as at the first. Paper: None."""
    v_norm: bool = False
    """Divide what a document says by the mean length of its values. Paper: on for Wikipedia, off for code."""
    dual: bool = False
    """Add the loss of the documents read alone, weight 1. Paper: off."""
    first_half: bool = False
    """Let only the first half of a document be its query. Paper: on for Wikipedia, off for code."""
    query_prefix: str = "query: "
    """Paper: "Query: " in the text, "query: " in the code."""
    passage_prefix: str = "passage: "
    """Paper: "Passage: " in the text, "passage: " in the code."""

    def temperature_at(self, progress: float) -> float:
        """Return the temperature when PROGRESS (0 to 1) of the steps are done."""
        last = self.temperature if self.last_temperature is None else self.last_temperature
        return float(self.temperature ** (1 - progress) * last**progress)


CODE: Final = RevelaConfig()
WIKIPEDIA: Final = RevelaConfig(v_norm=True, first_half=True)


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
    """Seconds of training by the clock; None: by size, and longer on a busy machine; 0: as long as the steps take.
    Whichever of steps and seconds is used up first ends it, and the rate has come down to zero by then."""
    batch: int = 256
    """Pairs a step, at most half of the repository's chunks; shared among the processes."""
    groups: int = 1
    """Of documents in a step with Revela, shared among the processes."""
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
    checkpoint_every: int = 100
    """Steps between two checkpoints, where they are kept; so many looks."""
    distance: float = 0.75
    """How far to go from the base to what was learnt. Weights on the way between both are as good at what was learnt,
    and keep more of what the base knew (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """Training of a transformer as retriever, by a causal LM. As it stands: the paper's recipe for code.

    REVELA.md's section 3 and the authors' train.sh: 32 groups a step came of four GPUs and eight accumulations each.
    """

    objective: Objective = Objective.REVELA
    seed: int = 0
    steps: int = 11_200
    budget: float | None = None
    """Seconds of training at most; None: as long as the steps take."""
    documents: int = 16
    """Of a group, which look at each other."""
    groups: int = 32
    """A step, shared among the processes; one after the other in each."""
    pairs: int = 0
    """Contrastive pairs a step, shared among the processes; each one's negatives are those of all."""
    longest: int = 160
    """Tokens that the retriever reads of a text while it is trained."""
    lm_longest: int = 160
    """Tokens that the LM reads."""
    rate: float = 1e-4
    """AdamW's peak learning rate of the retriever; no weight decay."""
    lm_rate: float = 1e-4
    """The same of the LM."""
    warm_up: int = 100
    """Steps in which the rates grow from zero; then they fall to it in a line."""
    clip: float = 1.0
    """Longest gradient of either model."""
    lora: int = 256
    """Rank of the adapters of both models; 0: all weights are learnt."""
    lora_alpha: int = 64
    lora_dropout: float = 0.1
    bf16: bool = True
    """Multiply in bfloat16; what is learnt stays in float32, and so do similarities."""
    revela: RevelaConfig = CODE
    asked: bool = False
    """Ask for documents with words, and let the LM answer for code alone (`groups.GroupConfig.asked`)."""
    share: float = 0.5
    """Revela's of the retriever's gradient where there are pairs, too."""
    pair_temperature: float = 0.05
    doc_share: float = 0.45
    """Of the pairs, as `AdaptConfig` has it."""
    half_share: float = 0.3
    link_share: float = 0.05
    recompute: bool = False
    """Compute the retriever's states again in the backward pass rather than keep them: time for memory. Never the LM's,
    whose first pass leaves keys and values behind."""
    evaluate_every: int = 0
    """Steps between two looks at the development questions, where there are any; 0: none, the last step counts."""
    patience: int = 4
    """Looks without a gain after which training stops."""
    checkpoint_every: int = 200


class Preset(StrEnum):
    """Named recipes."""

    REPOSITORY = "repository"
    """Ours, for one repository: pairs and Revela, documents asked for with words."""
    PAPER_CODE = "paper-code"
    PAPER_WIKIPEDIA = "paper-wikipedia"


PRESETS: Final[Mapping[Preset, FinetuneConfig]] = {
    Preset.REPOSITORY: FinetuneConfig(
        objective=Objective.BOTH,
        steps=200,
        groups=1,
        pairs=32,
        warm_up=10,
        lora=16,
        lora_alpha=32,
        lora_dropout=0.0,
        bf16=False,
        revela=RevelaConfig(temperature=0.05, last_temperature=0.03),
        asked=True,
        evaluate_every=25,
        checkpoint_every=50,
    ),
    Preset.PAPER_CODE: FinetuneConfig(),
    Preset.PAPER_WIKIPEDIA: FinetuneConfig(steps=10_000, revela=WIKIPEDIA),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What training takes, as it was measured: LOG, 2026-11-26."""

    preset: Preset
    retriever: str
    lm: str
    where: str
    gigabytes: float
    """Of the card, or of all the process; at most."""
    step: float
    """Seconds; of the paper's recipes those of one group times 32, on one card."""
    tokens: int | None
    """That the LM reads in a second, each pass counted once; None where it was not counted."""

    @property
    def seconds(self) -> float:
        """All steps of the preset."""
        return PRESETS[self.preset].steps * self.step


_CARD: Final = "one H200"
COSTS: Final = (
    Cost(Preset.REPOSITORY, "MiniLM-L6-v2", "embedded", "2 cores", 6.5, 16.0, None),
    Cost(Preset.REPOSITORY, "MiniLM-L6-v2", "embedded", _CARD, 1.9, 0.154, 7_872),
    Cost(Preset.REPOSITORY, "ModernBERT", "embedded", _CARD, 12.3, 0.413, 2_848),
    Cost(Preset.PAPER_CODE, "Qwen2.5-0.5B", "Llama-3.2-1B", _CARD, 38.9, 17.3, 1_906),
    Cost(Preset.PAPER_CODE, "Llama-3.2-1B", "Llama-3.2-1B", _CARD, 43.4, 16.7, 2_099),
)
