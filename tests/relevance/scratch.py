"""What Revela alone teaches a retriever that knows nothing: random vectors, general code, minutes, and no pairs.

    python -m tests.relevance.scratch WORK REPOSITORY … [--minutes 10] [--rate 3e-3] [--seed 0]

WORK is the folder in which `revela-train pretrain` and `joint` keep their corpus, which holds none of the repositories.
The LM is the one that ships, and goes on learning; with its pointer head, which is ours. What is asked of each
REPOSITORY are the first sentences of its functions' documentation, which is taken away first; printed is the mean
reciprocal rank of the right function, by nearness of vectors alone, before and while it learns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer

from codesearch.bundle import TOKENIZER
from codesearch.eval.docstrings import by_lot, strip
from codesearch.eval.heldout import Asked, HeldOut, cut
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from revela_train import lm
from revela_train.adaptation import Development
from revela_train.config import JointConfig, PretrainConfig, RevelaConfig
from revela_train.corpus import Pieces
from revela_train.groups import GroupConfig, GroupSampler, files_of, library
from revela_train.joint import revela_loss
from revela_train.pretrain import frequencies
from revela_train.retriever import StaticRetriever
from revela_train.workspace import development_of

MOST: Final = 600
"""Functions that are asked for, of a repository."""
LM_RATE: Final = 3e-4
"""Adam's, of the LM."""
COOLING: Final = RevelaConfig(temperature=0.1, last_temperature=0.03)
"""Of the document weights, over the time that there is."""
EVERY: Final = 60.0
"""Seconds between two looks."""


def questions(root: Path, copy: Path, tokenizer: Tokenizer) -> Development:
    """Return what is asked of ROOT, whose COPY lacks the documentation of what is asked for."""
    stripped = strip(root, copy, lambda found: by_lot(found)[:MOST])
    asked = (
        Asked(one.sentence, tuple((one.path, span) for span in spans), "documentation") for one, spans in stripped.asked
    )
    return development_of(HeldOut(copy, cut(copy, Settings()), tuple(asked), ()), tokenizer)[0]


def main() -> None:
    """Train from nothing, and print how it goes."""
    options = argparse.ArgumentParser(
        prog="python -m tests.relevance.scratch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("work", type=Path, help="folder of the pretraining corpus")
    options.add_argument("repositories", type=Path, nargs="+", metavar="REPOSITORY")
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--rate", type=float, default=3e-3, help="Adam's, of the retriever")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()

    tokenizer = Tokenizer.from_file(str(base_bundle() / TOKENIZER))
    with tempfile.TemporaryDirectory(prefix="scratch-") as folder:
        held = [questions(root, Path(folder) / str(n), tokenizer) for n, root in enumerate(given.repositories)]
    pieces = Pieces.load(given.work / f"pieces-{PretrainConfig().pieces}.npz")
    tokens = Pieces.load(given.work / f"lm-pieces-{JointConfig().tokens}.npz")
    everything = np.arange(len(pieces.repository))
    sampler = GroupSampler(library(pieces, tokens, everything, files_of(pieces)), GroupConfig(seed=given.seed))
    torch.manual_seed(given.seed)
    retriever = StaticRetriever(tokenizer.get_vocab_size(), PretrainConfig().dimensions)
    retriever.start_from_frequencies(frequencies(pieces, tokenizer.get_vocab_size()))
    embedded = lm.load(lm.shipped())
    optimiser = torch.optim.Adam(
        [
            {"params": [retriever.vectors], "lr": given.rate},
            {"params": [retriever.log_weights], "lr": given.rate},
            {"params": list(embedded.parameters()), "lr": LM_RATE},
        ]
    )
    print(f"{'seconds':>8} {'steps':>6} {'LM':>6}  " + "  ".join(root.name for root in given.repositories))
    steps, seconds, losses, shown = 0, 0.0, [float("nan")], -EVERY
    while True:
        if seconds - shown >= EVERY or seconds >= 60 * given.minutes:
            shown = seconds
            found = "  ".join(f"{one.mrr(retriever):.4f} of {len(one.right)}" for one in held)
            print(f"{seconds:8.0f} {steps:6} {np.mean(losses[-100:]):6.3f}  {found}", flush=True)
        if seconds >= 60 * given.minutes:
            break
        began = time.monotonic()
        temperature = COOLING.temperature_at(seconds / (60 * given.minutes))
        loss = revela_loss(retriever.bags, embedded, sampler(steps), temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        steps, seconds = steps + 1, seconds + time.monotonic() - began


if __name__ == "__main__":
    main()
