"""Revela and contrast together: one step of both, and what the LM makes of what the retriever says.

Revela's gradient is small beside that of a contrastive batch, and drowns in a plain sum. Here each gives a gradient of
its own, and Revela's is scaled so that it makes a set share of what the retriever learns from, step by step; the LM
learns from its own loss alone, unscaled. The share is ours; the loss is Revela's, with the pointer head unless told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import torch
from torch import Tensor, nn

from revela_train.attention import read
from revela_train.distributed import World
from revela_train.groups import Group
from revela_train.lm import OpenLM, document_losses, losses_again
from revela_train.objective import Encode, encoded
from revela_train.revela import document_weights, similarities

_MEMORY: Final = 0.95
"""Of the running norms of both gradients."""


class Read(Protocol):
    """A group as the LM reads it."""

    @property
    def ids(self) -> Tensor:
        """(B, L), tokens, right-padded."""

    @property
    def mask(self) -> Tensor:
        """(B, L)."""

    @property
    def counted(self) -> Tensor | None:
        """(B, L), which tokens have a loss; None for all."""


G = TypeVar("G", bound=Read)


def weights_of(encode: Encode, group: Group, temperature: float) -> Tensor:
    """Return W (B, B) of GROUP: how much each document, by its query or as its own, wants of each other."""
    passages = encoded(encode, group.bags)
    queries = passages if group.queries is None else encoded(encode, group.queries)
    return document_weights(similarities(queries, passages), temperature)


def revela_loss(
    encode: Encode,
    embedded: OpenLM,
    group: Group,
    temperature: float,
    *,
    pointer: bool = True,
    blind: Tensor | None = None,
) -> Tensor:
    """Return the mean loss of GROUP's documents, nats a token, with a look at each other.

    BLIND (B,), where given, is 1 for documents that see no other: an LM that always saw some would be lost without.
    """
    weights = weights_of(encode, group, temperature)
    if blind is not None:
        weights = weights * (1 - blind)[:, None]
    return document_losses(embedded, group.ids, group.mask, weights, pointer, group.counted).mean()


class Balance:
    """Adds two gradients so that the second has a set share of the sum's length, as running norms have it."""

    def __init__(self, share: float) -> None:
        """Give Revela SHARE (below 1) of the retriever's gradient."""
        self._ratio = share / (1 - share)
        self.norms: tuple[float, float] | None = None
        """Running norms of both gradients, pairs first."""
        self.share = share
        """Revela's share in the last step: |λ·g_revela| / (|g_pairs| + |λ·g_revela|)."""

    def __call__(
        self, retriever: Sequence[nn.Parameter], lm: Sequence[nn.Parameter], pairs: Tensor, own: Tensor
    ) -> None:
        """Set the gradients of both models from the losses PAIRS and OWN (Revela's)."""
        of_pairs = torch.autograd.grad(pairs, retriever, allow_unused=True)
        of_own = torch.autograd.grad(own, [*retriever, *lm], allow_unused=True)
        self.blend(retriever, lm, of_pairs, of_own)

    def blend(
        self,
        retriever: Sequence[nn.Parameter],
        lm: Sequence[nn.Parameter],
        of_pairs: Sequence[Tensor | None],
        of_own: Sequence[Tensor | None],
    ) -> None:
        """Set the gradients of both models from those of pairs, of RETRIEVER, and of Revela, of RETRIEVER and LM."""
        norms = _norm(of_pairs), _norm(of_own[: len(retriever)])
        before = self.norms or norms
        self.norms = tuple(_MEMORY * b + (1 - _MEMORY) * n for b, n in zip(before, norms, strict=True))  # type: ignore[assignment]
        scale = self._ratio * self.norms[0] / max(self.norms[1], 1e-12)  # type: ignore[index]
        self.share = scale * norms[1] / max(norms[0] + scale * norms[1], 1e-12)
        for parameter, one, other in zip(retriever, of_pairs, of_own, strict=False):
            parameter.grad = _sum(one, other, scale)
        for parameter, gradient in zip(lm, of_own[len(retriever) :], strict=True):
            parameter.grad = gradient


def learn(
    own: Sequence[nn.Parameter],
    of_lm: Sequence[nn.Parameter],
    balance: Balance,
    us: World,
    pairs: Callable[[], Tensor] | None,
    revela: Callable[[int], Tensor] | None,
    groups: int,
) -> tuple[float | None, float | None]:
    """Set the gradients of both models from one step's pairs, groups, or both; return the losses of groups and pairs.

    REVELA gives the loss of one of a step's GROUPS, by its number. Process US has its part of them; all learn from all.
    """
    of_pairs: Sequence[Tensor | None] | None = None
    of_own: Sequence[Tensor | None] | None = None
    loss = contrast = None
    if pairs is not None:
        found = pairs()
        of_pairs = us.summed(torch.autograd.grad(found, own, allow_unused=True))
        contrast = found.item()
    if revela is not None:
        sums: list[Tensor | None] = [None] * (len(own) + len(of_lm))
        total = 0.0
        for number in range(us.rank, groups, us.size):
            found = revela(number) / groups
            for i, gradient in enumerate(torch.autograd.grad(found, [*own, *of_lm], allow_unused=True)):
                before = sums[i]
                sums[i] = gradient if before is None else before if gradient is None else before.add_(gradient)
            total += found.item()
        of_own = us.summed(sums)
        loss = us.sum(total)
    if of_pairs is not None and of_own is not None:
        balance.blend(own, of_lm, of_pairs, of_own)
    else:
        for parameter, alone in zip([*own, *of_lm], of_own or of_pairs or (), strict=False):
            parameter.grad = alone
    return loss, contrast


def _norm(gradients: Sequence[Tensor | None]) -> float:
    return float(torch.stack([g.norm() for g in gradients if g is not None]).norm())


def _sum(one: Tensor | None, other: Tensor | None, scale: float) -> Tensor | None:
    if other is None:
        return one
    return other * scale if one is None else one.add_(other, alpha=scale)


@dataclass(frozen=True, slots=True)
class Heard:
    """Mean loss of held-out documents, nats a token, by what they saw of each other."""

    none: float
    """Nothing."""
    uniform: float
    """All others alike."""
    learned: float
    """What the retriever says."""
    shuffled: float
    """The same weights, given to other documents."""
    best: float
    """Each the one other document that helps it most: as much as could be learnt."""

    @property
    def signal(self) -> bool:
        """Tell whether the retriever's weights help the LM more than equal ones and than chance."""
        return self.learned < self.uniform and self.learned < self.shuffled

    def __str__(self) -> str:
        """Return all five in one line."""
        return (
            f"none {self.none:.3f}, uniform {self.uniform:.3f}, learned {self.learned:.3f}, "
            f"shuffled {self.shuffled:.3f}, best single {self.best:.3f}"
        )


@torch.no_grad()
def heard(weigh: Callable[[G], Tensor], lm: OpenLM, groups: Sequence[G], *, pointer: bool = True) -> Heard:
    """Return what LM makes of GROUPS that nobody has learnt from; WEIGH gives the W (B, B) of a group."""
    lm.eval()
    sums = torch.zeros(5, dtype=torch.float64)
    for number, group in enumerate(groups):
        learned = weigh(group)
        size = len(learned)
        itself = torch.eye(size, device=learned.device)
        turn = torch.Generator().manual_seed(number)
        alone, documents = read(lm.lm, group.ids, group.mask, logits=False)
        cases = [torch.zeros_like(learned), (1 - itself) / (size - 1), learned, _shuffled(learned, turn)]
        found = [losses_again(lm, alone, documents, w, pointer, group.counted) for w in cases]
        # Document i looks at i + k alone, k from 1: every pair is met once.
        singles = [
            losses_again(lm, alone, documents, itself.roll(k, 1), pointer, group.counted) for k in range(1, size)
        ]
        found.append(torch.stack(singles).min(0).values)
        sums += torch.stack([f.double().mean() for f in found]).cpu()
    lm.train()
    return Heard(*(sums / len(groups)).tolist())


@torch.no_grad()
def gain(weigh: Callable[[G], Tensor], lm: OpenLM, group: G, *, pointer: bool = True) -> float:
    """Return how much lower the loss of GROUP is for what the retriever shows each document of the others, nats."""
    alone, documents = read(lm.lm, group.ids, group.mask, logits=False)
    learned = weigh(group)
    with_others, without = (
        losses_again(lm, alone, documents, weights, pointer, group.counted).mean()
        for weights in (learned, torch.zeros_like(learned))
    )
    return float(without - with_others)


def _shuffled(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Return WEIGHTS (B, B) with each row's given to other documents at random; the diagonal stays zero."""
    size = len(weights)
    made = torch.zeros_like(weights)
    for i in range(size):
        others = [j for j in range(size) if j != i]
        order = torch.randperm(size - 1, generator=generator)
        made[i, others] = weights[i, others][order]
    return made
