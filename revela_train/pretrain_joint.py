"""Pretraining, second part: the embedded LM with the cross path open, then retriever and LM by Revela and pairs.

    base bundle + corpus (pretrain.py's folders) → LM alone → both together → LM folder, bundle, piece frequencies

At first only the LM learns, with the documents weighed as the base retriever finds them, since what an untrained LM has
to say about documents is noise. Then each step is one contrastive batch and one group of documents. The LM is for
training: whoever adapts a retriever to a repository starts from it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from codesearch import bundle
from codesearch.bundle import TOKENIZER
from revela_train import checkpoint, corpus, export, lm, tokenizer
from revela_train.adapt import from_bundle
from revela_train.batches import PairSampler
from revela_train.config import JointConfig, PretrainConfig, RevelaConfig
from revela_train.corpus import Pieces
from revela_train.groups import Group, GroupConfig, GroupSampler, files_of, library
from revela_train.joint import Balance, Heard, heard, revela_loss, weights_of
from revela_train.loop import docstring_mrr, rate
from revela_train.objective import pairs_loss
from revela_train.pretrain import Say, compared, development_questions, development_rows, frequencies
from revela_train.retriever import StaticRetriever

FREQUENCIES: Final = "frequencies.safetensors"
"""How many chunks of the corpus hold each piece, (V,) int32: what anchors an adapted retriever."""

_HEARD: Final = 24
"""Groups of held-out repositories that the LM is measured on; a sixth of them while training."""


@dataclass(slots=True)
class Joint:
    """A run: both models and where they stand."""

    retriever: StaticRetriever
    embedded: lm.EmbeddedLM
    config: JointConfig
    balance: Balance
    losses: list[float] = field(default_factory=list)
    """Of the LM, a step."""
    shares: list[float] = field(default_factory=list)
    """Revela's of the retriever's gradient, a step in which it learnt."""

    def temperature_at(self, step: int) -> float:
        """Return the temperature of the document weights at STEP."""
        config = RevelaConfig(temperature=self.config.temperature, last_temperature=self.config.last_temperature)
        return config.temperature_at(step / self.config.steps)

    def weigh(self, step: int) -> Callable[[Group], Tensor]:
        """Return what gives the W (B, B) of a group at STEP."""
        return partial(weights_of, self.retriever.bags, temperature=self.temperature_at(step))


def train(run: Joint, pairs: PairSampler, groups: GroupSampler, temperature: float, folder: Path) -> Iterator[int]:
    """Train RUN in place from the checkpoint in FOLDER, where there is one; yield the number of each step done.

    TEMPERATURE is that of the contrastive loss.
    """
    config, retriever, embedded = run.config, run.retriever, run.embedded
    own, of_lm = [retriever.vectors, retriever.log_weights], list(embedded.parameters())
    optimiser = torch.optim.Adam(
        [
            {"params": [retriever.vectors], "lr": config.rate},
            {"params": [retriever.log_weights], "lr": 10 * config.rate},
            {"params": of_lm, "lr": config.lm_rate},
        ]
    )
    peaks = [group["lr"] for group in optimiser.param_groups]
    both = nn.ModuleDict({"retriever": retriever, "lm": embedded})
    first = 0
    if (stood := checkpoint.load(folder, both, optimiser)) is not None:
        if stood["config"] != asdict(config):
            raise ValueError(f"{folder} holds a run with another configuration; name another folder or remove it")
        first, run.losses, run.shares = stood["step"], stood["losses"], stood["shares"]
        run.balance.norms = tuple(stood["norms"]) if stood["norms"] else None
    alone = round(config.alone * config.steps)

    def drawn(step: int) -> tuple[Any, Group]:
        return (pairs(step) if step >= alone else None), groups(step)

    with ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(drawn, first)
        for step in range(first, config.steps):
            batch, group = upcoming.result()
            upcoming = ahead.submit(drawn, step + 1)
            rates = [rate(step - alone, config.steps - alone) if step >= alone else 0.0] * 2
            for it, peak, share in zip(optimiser.param_groups, peaks, [*rates, rate(step, config.steps)], strict=True):
                it["lr"] = peak * share
            blind = _blind(len(group.ids), config, step)
            loss = revela_loss(retriever.bags, embedded, group, run.temperature_at(step), blind=blind)
            optimiser.zero_grad()
            if batch is None:
                for parameter, gradient in zip(of_lm, torch.autograd.grad(loss, of_lm), strict=True):
                    parameter.grad = gradient
            else:
                run.balance(own, of_lm, pairs_loss(retriever.bags, batch, temperature), loss)
                run.shares.append(run.balance.share)
            nn.utils.clip_grad_norm_(of_lm, 1.0)
            optimiser.step()
            run.losses.append(loss.item())
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                stands = {"losses": run.losses, "shares": run.shares, "norms": run.balance.norms}
                checkpoint.save(folder, step + 1, both, optimiser, {"config": asdict(config)} | stands)
            yield step + 1


def _blind(size: int, config: JointConfig, step: int) -> Tensor:
    rng = np.random.default_rng((config.seed, step, 1))
    return torch.from_numpy(rng.random(size) < config.blind).float()


def lm_corpus(work: Path, pieces: Pieces, size: int, say: Say) -> tuple[Tokenizer, Pieces]:
    """Return the LM's tokenizer and the corpus in its tokens, row for row as PIECES; made where WORK lacks them."""
    learnt, packed = work / f"lm-tokenizer-{size}.json", work / f"lm-pieces-{size}.npz"
    if not learnt.exists():
        texts = (f"{r.doc} {r.body}" for _, r in corpus.read_records(work))
        tokenizer.train(texts, size).save(str(learnt))
    made = Tokenizer.from_file(str(learnt))
    if not packed.exists():
        corpus.tokenise(work, made).save(packed)
    tokens = Pieces.load(packed)
    if len(tokens.repository) != len(pieces.repository):
        raise ValueError(f"{packed} is of another corpus than its neighbours; remove it")
    say(f"LM corpus: {len(tokens.doc.values) + len(tokens.body.values):,} tokens")
    return made, tokens


def pretrain(work: Path, base: Path, out: Path, config: JointConfig, say: Say, command: str) -> None:
    """Train from the bundle BASE on the corpus in WORK; write lm/, base/ and frequencies.safetensors below OUT."""
    started = bundle.load(base)
    pieces_tokenizer = Tokenizer.from_file(str(base / TOKENIZER))
    pairs_config = PretrainConfig(seed=config.seed)
    pieces = Pieces.load(work / f"pieces-{pairs_config.pieces}.npz")
    made, tokens = lm_corpus(work, pieces, config.tokens, say)
    held_out, files = development_rows(pieces), files_of(pieces)
    groups = GroupSampler(library(pieces, tokens, np.flatnonzero(~held_out), files), GroupConfig(seed=config.seed))
    unseen = GroupSampler(library(pieces, tokens, np.flatnonzero(held_out), files), GroupConfig(seed=1))
    measured = [unseen(i) for i in range(_HEARD)]
    questions = development_questions(pieces)
    run = Joint(from_bundle(started), lm.create(config.seed, made), config, Balance(config.share))
    pairs = PairSampler(pieces, pairs_config, np.flatnonzero(~held_out))
    say(f"{len(groups):,} documents for groups; base: development MRR {docstring_mrr(run.retriever, *questions):.4f}")
    began = time.monotonic()
    for step in train(run, pairs, groups, pairs_config.temperature, work / "joint"):
        if step % 50 == 0:
            share = f"{np.mean(run.shares[-50:]):.2f}" if run.shares else "-"
            said = f"step {step}/{config.steps}  LM {np.mean(run.losses[-50:]):.3f}  share {share}"
            say(f"{said}  {time.monotonic() - began:.0f} s")
        if step % 400 == 0:
            found = heard(run.weigh(step), run.embedded, measured[: _HEARD // 6])
            say(f"  {found}; development MRR {docstring_mrr(run.retriever, *questions):.4f}")
    _write(run, pieces, pieces_tokenizer, measured, docstring_mrr(run.retriever, *questions), out, say, command)


def _write(
    run: Joint,
    pieces: Pieces,
    pieces_tokenizer: Tokenizer,
    measured: list[Group],
    mrr: float,
    out: Path,
    say: Say,
    command: str,
) -> None:
    weigh = run.weigh(run.config.steps)
    found: dict[str, Heard] = {
        "with pointer": heard(weigh, run.embedded, measured),
        "without": heard(weigh, run.embedded, measured, pointer=False),
    }
    for name, one in found.items():
        say(f"{name}: {one}")
    say(f"development MRR {mrr:.4f}")
    provenance = {
        "objective": "contrastive pairs and Revela together, the LM by itself before",
        "command": command,
        "config": asdict(run.config),
        "chunks": len(pieces.repository),
        "repositories": list(pieces.repositories),
        "held_out_losses": {name: asdict(one) for name, one in found.items()},
        "revela_share": round(float(np.mean(run.shares)), 4) if run.shares else 0.0,
        "development_mrr": round(mrr, 4),
        "machine": f"{torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}",
    }
    out.mkdir(parents=True, exist_ok=True)
    lm.save(run.embedded, out / "lm", provenance)
    counts = frequencies(pieces, pieces_tokenizer.get_vocab_size()).to(torch.int32)
    save_file({"counts": counts}, out / FREQUENCIES)
    texts = compared(pieces, pieces_tokenizer)
    export.export(
        run.retriever, pieces_tokenizer, out / "base", name="codesearch-base-2", texts=texts, provenance=provenance
    )
