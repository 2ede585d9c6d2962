"""What a run of adaptation is shown, by number: pairs for contrast, groups for Revela. Needs no torch.

A number gives the same each time, so a resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from revela_train.batches import PairBatch, PairSampler
from revela_train.config import AdaptConfig, Objective, PretrainConfig
from revela_train.documents import Material
from revela_train.groups import Group, GroupConfig, GroupSampler, only

MEASURED: Final = 8
"""Groups that the LM is measured on."""
_UNSEEN: Final = 10
"""Every so many-th cluster of documents stays out of training, for those."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to learn from."""

    chunks: int
    pairs: Callable[[int], PairBatch] | None
    """What this process encodes of the pairs of a step."""
    groups: Callable[[int], Group] | None
    """A group by its number; those of a step follow each other."""
    unseen: Sequence[Group] = ()
    """Groups of other documents, to measure the LM on."""


def of_material(material: Material, config: AdaptConfig) -> Shown:
    """Return what a run by CONFIG draws from MATERIAL, all of it in this process."""
    groups, unseen = groups_of(material, config)
    chunks = len(material.pieces.repository)
    measured = [unseen(i) for i in range(MEASURED)] if unseen else []
    pairs = pairs_of(material, config, min(config.batch, chunks // 2)) if has_pairs(config) else None
    return Shown(chunks, pairs, groups, measured)


def has_pairs(config: AdaptConfig) -> bool:
    """Tell whether a run by CONFIG has pairs."""
    return config.objective is not Objective.REVELA and config.share < 1


def pairs_of(material: Material, config: AdaptConfig, batch: int) -> PairSampler:
    """Return what draws batches of BATCH pairs, at most half of MATERIAL's chunks."""
    chunks = len(material.pieces.repository)
    documented = int((np.diff(material.pieces.doc.offsets) >= 3).sum())
    # Each text is met about as often as each body is.
    doc_share = min(config.doc_share, 2 * documented / chunks)
    name_share = 1 - doc_share - config.half_share
    drawn = PretrainConfig(
        seed=config.seed, batch=batch, repositories_a_batch=1, doc_share=doc_share, name_share=name_share
    )
    return PairSampler(material.pieces, drawn, links=material.links, link_share=config.link_share)


def groups_of(material: Material, config: AdaptConfig) -> tuple[GroupSampler | None, GroupSampler | None]:
    """Return what draws groups from MATERIAL, and what draws them from documents that the first leaves out.

    Either is None where the objective has no groups, or too few files have several documents.
    """
    if material.library is None or config.objective is Objective.PAIRS:
        return None, None
    drawn = GroupConfig(seed=config.seed, asked=config.asked and config.objective is not Objective.REVELA)
    out = material.library.cluster % _UNSEEN == _UNSEEN // 2
    groups = GroupSampler(only(material.library, ~out), drawn)
    if not len(groups):
        return None, None
    unseen = GroupSampler(only(material.library, out), replace(drawn, distractors=0))
    return groups, unseen if len(unseen) >= drawn.documents else None
