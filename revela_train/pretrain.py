"""Pretraining of the base retriever, stage by stage; each stage leaves a file and is not done twice.

records (corpus.py) → tokenizer → pieces → training (loop.py) → Bundle with its model card.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from codesearch.bundle import Bundle
from revela_train import corpus, export, tokenizer
from revela_train.batches import Bags, PairSampler
from revela_train.card import card
from revela_train.config import PretrainConfig
from revela_train.corpus import Pieces
from revela_train.loop import docstring_mrr, train
from revela_train.precision import Precision
from revela_train.retriever import StaticRetriever

Say = Callable[[str], None]

DEVELOPMENT: Final = frozenset(
    """Kotlin+kotlinx-datetime apple+swift-nio com-lihaoyi+os-lib ekmett+lens google+googletest jekyll+jekyll
    luarocks+luarocks nikic+PHP-Parser rayon-rs+rayon scrapy+scrapy thephpleague+flysystem
    yhirose+cpp-httplib""".split()
)
"""Repositories left out of training: documented functions of them choose between configurations, and say while training
how well a comment finds its function in a repository never seen."""

_EVERY: Final = 20
"""Of a corpus without any of those, every so many-th repository, in order of name, takes their place."""

_QUESTIONS: Final = 300
"""Development questions a repository, at most."""


def prepare(
    sources: Path, measured: Sequence[Path], work: Path, config: PretrainConfig, say: Say
) -> tuple[Tokenizer, Pieces]:
    """Return tokenizer and corpus, extracting and learning what WORK does not hold yet."""
    work.mkdir(parents=True, exist_ok=True)
    for done, (name, chunks, documented) in enumerate(corpus.extract(sources, measured, work), 1):
        say(f"records {done}: {name}, {chunks} chunks, {documented} documented")
    learnt = work / f"tokenizer-{config.pieces}.json"
    if not learnt.exists():
        texts = (f"{r.path} {r.symbol} {r.doc} {r.body}" for _, r in corpus.read_records(work))
        tokenizer.train(texts, config.pieces).save(str(learnt))
        say(f"tokenizer: {learnt.name}")
    made = Tokenizer.from_file(str(learnt))
    packed = work / f"pieces-{config.pieces}.npz"
    if not packed.exists():
        corpus.tokenise(work, made).save(packed)
    pieces = Pieces.load(packed)
    say(f"corpus: {len(pieces.repository)} chunks of {len(pieces.repositories)} repositories")
    return made, pieces


def development_rows(pieces: Pieces) -> NDArray[np.bool_]:
    """Return which chunks belong to the development repositories."""
    named = [i for i, name in enumerate(pieces.repositories) if name in DEVELOPMENT]
    return np.isin(pieces.repository, named or range(_EVERY // 2, len(pieces.repositories), _EVERY))


def development_questions(pieces: Pieces) -> tuple[Bags, Bags, NDArray[np.int32]]:
    """Return doc comments, the functions without them (with heading), and the repository of each."""
    documented = np.diff(pieces.doc.offsets) >= 4
    rows: list[int] = []
    rng = np.random.default_rng(0)
    wanted = development_rows(pieces) & documented
    for r in np.unique(pieces.repository[wanted]):
        own = np.flatnonzero(wanted & (pieces.repository == r))
        rows += rng.permutation(own)[:_QUESTIONS].tolist()
    queries = Bags.of([np.unique(pieces.doc[i]) for i in rows])
    heads = [np.concatenate((pieces.path[i], pieces.symbol[i], pieces.body[i])) for i in rows]
    return queries, Bags.of([np.unique(h) for h in heads]), pieces.repository[rows]


def frequencies(pieces: Pieces, size: int) -> torch.Tensor:
    """Return how many chunks of the corpus hold each piece, shape (size,)."""
    counts = np.zeros(size, np.int64)
    for i in range(len(pieces.repository)):
        counts[np.unique(np.concatenate((pieces.doc[i], pieces.body[i])))] += 1
    return torch.from_numpy(counts)


def compared(pieces: Pieces, tokenizer: Tokenizer) -> list[str]:
    """Return 64 texts of the corpus, as pieces, that an exported model is compared with the trained one on."""
    drawn = np.random.default_rng(1).integers(0, len(pieces.repository), 64)
    return [" ".join(tokenizer.id_to_token(int(p)) for p in pieces.body[i][:300]) for i in drawn]


def pretrain(
    sources: Path,
    measured: Sequence[Path],
    work: Path,
    out: Path,
    config: PretrainConfig,
    say: Say,
    command: str,
    precision: Precision = Precision.FLOAT16,
) -> Bundle:
    """Run every stage that WORK does not hold yet and write the Bundle to OUT, its table at PRECISION."""
    made, pieces = prepare(sources, measured, work, config, say)
    torch.manual_seed(config.seed)
    retriever = StaticRetriever(made.get_vocab_size(), config.dimensions)
    counts = frequencies(pieces, made.get_vocab_size())
    retriever.start_from_frequencies(counts + 1)
    sampler = PairSampler(pieces, config, np.flatnonzero(~development_rows(pieces)))
    questions = development_questions(pieces)
    mrr, seconds = docstring_mrr(retriever, *questions), 0.0
    for stepped in train(retriever, sampler, config, work / "run"):
        seconds = stepped.seconds
        if stepped.step % 500 == 0 or stepped.step == config.steps:
            mrr = docstring_mrr(retriever, *questions)
        say(f"step {stepped.step}/{config.steps}  loss {stepped.loss:.3f}  development MRR {mrr:.3f}  {seconds:.0f} s")
    listed = corpus.repositories(sources)
    provenance: dict[str, Any] = {
        "objective": "contrastive pairs: doc comment → function, path and symbol → body, halves of a body",
        "command": command,
        "config": asdict(config),
        "pieces": made.get_vocab_size(),
        "chunks": len(pieces.repository),
        "most_chunks": corpus.MOST_CHUNKS,
        "repositories": len(pieces.repositories),
        "languages": dict(Counter(r["language"] for r in listed).most_common()),
        "licenses": dict(Counter(r["license"] for r in listed).most_common()),
        "development_mrr": round(mrr, 4),
        "training_seconds": round(seconds),
        "machine": f"{torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}",
    }
    texts = compared(pieces, made)
    bundle = export.export(
        retriever, made, out, name="codesearch-base-1", texts=texts, provenance=provenance, precision=precision
    )
    (out.parent / "README.md").write_text(card(bundle.description.provenance, listed), encoding="utf-8")
    return bundle
