"""The training loop of the static retriever: draw, contrast, step, checkpoint. A resumed run has the same losses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revela_train import checkpoint
from revela_train.batches import Bags, PairBatch, PairSampler
from revela_train.config import PretrainConfig
from revela_train.objective import encoded, pairs_loss
from revela_train.retriever import StaticRetriever

_WARM_UP = 0.02
"""Share of the steps in which the rate grows from zero."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """Where the run stands."""

    step: int
    loss: float
    """Mean since the last report, in nats."""
    seconds: float
    """Since this process began to train."""


def rate(step: int, steps: int, warm: int | None = None) -> float:
    """Return the share of the peak rate at STEP of STEPS: up from zero in WARM steps, then linearly down to it."""
    warm = max(1, round(_WARM_UP * steps) if warm is None else min(warm, steps - 1))
    return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))


def train(
    retriever: StaticRetriever,
    sampler: PairSampler | Callable[[int], PairBatch],
    config: PretrainConfig,
    folder: Path,
    report_every: int = 100,
) -> Iterator[Stepped]:
    """Train RETRIEVER in place, from the checkpoint in FOLDER where there is one; yield progress.

    A checkpoint of another configuration raises ValueError rather than being continued or overwritten.
    """
    optimiser = torch.optim.Adam(
        [
            {"params": [retriever.vectors], "lr": config.rate},
            {"params": [retriever.log_weights], "lr": config.weight_rate},
        ],
        betas=(0.9, 0.99),
        fused=True,
    )
    peaks = [group["lr"] for group in optimiser.param_groups]
    run = checkpoint.load(folder, retriever, optimiser)
    first = 0
    losses: list[float] = []
    if run is not None:
        if run["config"] != asdict(config):
            raise ValueError(f"{folder} holds a run with another configuration; name another folder or remove it")
        first, losses = run["step"], run["losses"]
    began = time.monotonic()
    with ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(sampler, first)
        for step in range(first, config.steps):
            batch = upcoming.result()
            if step + 1 < config.steps:
                upcoming = ahead.submit(sampler, step + 1)
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate(step, config.steps)
            loss = pairs_loss(retriever.bags, batch, config.temperature)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            done = step + 1
            if done % config.checkpoint_every == 0 or done == config.steps:
                checkpoint.save(folder, done, retriever, optimiser, {"config": asdict(config), "losses": losses})
            if done % report_every == 0 or done == config.steps:
                yield Stepped(done, float(np.mean(losses[-report_every:])), time.monotonic() - began)


@torch.no_grad()
def docstring_mrr(retriever: StaticRetriever, queries: Bags, passages: Bags, group: NDArray[np.int32]) -> float:
    """Return the mean reciprocal rank of each query's own passage among the passages of its repository (GROUP)."""
    q, p = encoded(retriever.bags, queries), encoded(retriever.bags, passages)
    ranks: list[Tensor] = []
    for g in np.unique(group):
        rows = torch.from_numpy(np.flatnonzero(group == g))
        scores = q[rows] @ p[rows].T
        ranks.append((scores >= scores.diagonal()[:, None]).sum(1))
    return float((1 / torch.cat(ranks).double()).mean())
