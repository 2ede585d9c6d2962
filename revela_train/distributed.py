"""Several processes, one a GPU, as `torchrun` starts them: who is who, and what they tell each other.

A group of documents belongs to one process and is never looked into by another. Pairs are told apart from those of all,
so their vectors are gathered. What is learnt is the sum of all gradients; since each process starts from the same
weights and steps alike, nothing else has to be told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor

from codesearch.errors import UsageError

_PATIENCE: Final = timedelta(hours=12)
"""How long processes wait for each other: while the first reads what there is to learn from, the others do."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among all."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def local_first(self) -> bool:
        """Whether it is the one that writes on its machine."""
        return self.size == 1 or os.environ.get("LOCAL_RANK", "0") == "0"

    def gathered(self, vectors: Tensor) -> Tensor:
        """Return the VECTORS (B / size, D) of all processes, (B, D), process after process.

        A loss of all of them has in each process the gradient of its own alone: that of the weights is `summed`.
        """
        if self.size == 1:
            return vectors
        parts = [torch.empty_like(vectors) for _ in range(self.size)]
        dist.all_gather(parts, vectors.detach().contiguous())
        parts[self.rank] = vectors
        return torch.cat(parts)

    def summed(self, gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Return the sum of each of GRADIENTS over the processes; None stays None, in all of them."""
        if self.size > 1:
            for gradient in gradients:
                if gradient is not None:
                    dist.all_reduce(gradient)
        return gradients

    def told(self, number: float) -> float:
        """Return the NUMBER that the first process has: what all go by."""
        if self.size == 1:
            return number
        said = torch.tensor(number, dtype=torch.float64, device=self.device)
        dist.broadcast(said, 0)
        return float(said)

    def sum(self, number: float) -> float:
        """Return the sum of NUMBER over the processes."""
        if self.size == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def wait(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            dist.barrier()


ALONE: Final = World()


def usual_device() -> torch.device:
    """Return where training happens unless it is said: this process's GPU, or the processor where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def world(device: str | None = None) -> Iterator[World]:
    """Join the processes that `torchrun` started, or be alone; on a GPU where there is one, unless DEVICE says else."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    where = torch.device("cpu") if device == "cpu" else usual_device()
    if device not in (None, where.type):
        raise UsageError(f"there is no {device} here: train on {where.type}, or leave --device out")
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if size > 1:
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield World(rank, size, where)
    finally:
        if size > 1:
            dist.destroy_process_group()
