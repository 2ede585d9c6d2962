"""A workspace's retriever made of a transformer: found, trained on what the repository offers, exported, to be proved.

    --backbone, --lm ─ prepare ─▶ Backbone ─ attempt ─▶ groups, pairs ─ finetune ─▶ export ─▶ candidate

What is asked of whom, and the proof, are those of every adaptation (`workspace.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from codesearch.bundle import TOKENIZER, Bundle
from codesearch.errors import UsageError
from codesearch.eval.heldout import HeldOut, hold_out
from codesearch.events import Adapting, Event, Trained
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from codesearch.text import document
from revela_train import checkpoint, export_transformer, hub, lm
from revela_train.adaptation import Adapted, TooLittleError
from revela_train.config import FinetuneConfig, Objective
from revela_train.distributed import World, usual_device, world
from revela_train.documents import Material, material
from revela_train.exam import OTHERS, Exam
from revela_train.finetune import Finetuning, learnt
from revela_train.groups import GroupConfig, GroupSampler, only
from revela_train.hub import Source
from revela_train.joint import Heard, heard
from revela_train.lm import OpenLM
from revela_train.texts import Shelf, TextGroups, TextPairSampler
from revela_train.tokenizer import of_lm
from revela_train.transformer import HubLM, TransformerRetriever, adapters

_UNSEEN: Final = 10
"""Every so many-th cluster of documents stays out of training, to measure the LM on."""
_MEASURED: Final = 8
"""Groups of those."""
_JUDGED: Final = 20
"""Questions from which on they say when to stop."""
_COMPARED: Final = 16
"""Texts that the exported model is compared with the trained one on."""
_GIGA: Final = 1e9
_SAID: Final = 10
"""Steps between two lines about how it goes."""
_WHOLE: Final = 1.25
_HALF: Final = 1.5
"""Of what goes into linear layers and comes out of them, how much is kept for the gradient: in float32, in bfloat16."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a transformer is trained from, found and checked, not loaded yet."""

    source: Source
    lm: Source | None
    """None: the embedded one."""
    config: FinetuneConfig


def prepare(backbone: str, lm: str | None, config: FinetuneConfig, device: torch.device | None = None) -> Backbone:
    """Return what is to be trained, or raise UsageError before any work is lost.

    BACKBONE and LM are folders or names on the hub. DEVICE is what it will be trained on, by default as `world` has it.
    """
    source, reader = hub.find(backbone), hub.find(lm) if lm else None
    if reader is None and config.objective is Objective.REVELA:
        raise UsageError("the paper's method wants a causal LM of the hub or a folder: --lm NAME")
    where = device or usual_device()
    needed, free = needed_memory(config, source, reader, where), hub.free_memory(where)
    if free is not None and needed > free:
        raise UsageError(
            f"training {backbone} takes about {needed / _GIGA:.1f} GB of memory, and {free / _GIGA:.1f} GB are free. "
            "Choose a smaller --backbone or --lm, --lora instead of all weights, or --recompute."
        )
    return Backbone(source, reader, config)


def needed_memory(config: FinetuneConfig, retriever: Source, reader: Source | None, device: torch.device) -> int:
    """Return about how many bytes training takes on DEVICE where most is held: between the loss and its gradient.

    Weights; of what is learnt the gradient and Adam's two moments, too, and a copy to multiply with; what a group or a
    batch of pairs leaves for the gradient; the LM's logits. How far that is from what was measured on a GPU,
    `tests/train/test_backbone.py` says. Exporting and proving come on top: with them and all else all-MiniLM-L6-v2 took
    6.5 GB by the preset for a repository.
    """
    width = 2 if config.bf16 else 4
    total, group = 0.0, 0.0
    size = hub.size(retriever)
    its_token = _kept(config, retriever, size, config.longest, device)
    sizes = [size]
    if reader is not None:
        sizes.append(of_reader := hub.size(reader, lm=True))
        said = reader.config.get_text_config()
        token = 2 * _kept(replace(config, recompute=False), reader, of_reader, config.lm_longest, device)
        token += config.documents * said.hidden_size * said.num_hidden_layers * width  # what the others say to it
        token += 12 * said.vocab_size  # logits, those with a target, in float32 their logarithms
        group += config.documents * config.lm_longest * token
    for size in sizes:
        learnt = config.lora * size.ends if config.lora else size.parameters
        total += (width * size.parameters if config.lora else 0) + (18 if config.bf16 else 16) * learnt
    group += 2 * config.documents * config.longest * its_token
    batch = 2 * config.pairs * config.longest * its_token
    return int(total + max(group, batch))


def _kept(config: FinetuneConfig, source: Source, size: hub.Size, longest: int, device: torch.device) -> float:
    """Return the bytes that a token of SOURCE's model leaves for the gradient, in texts of LONGEST tokens.

    What goes into a layer and what comes out of it is kept, mostly (Korthikanti et al. 2022, section 4.1, adds it up
    for one kind of layer). By `saved_tensors_hooks`, Llama, ModernBERT and BERT keep 1.2, 1.3 and .9 of these numbers
    in float32; in bfloat16 with adapters, which keep inputs of their own, Qwen2, Llama, ModernBERT and BERT keep 1.5,
    1.4, 1.4 and 1.1. Where attention drops out without a fused kernel, a head keeps 2.5 numbers a pair of tokens, too.
    """
    said = source.config.get_text_config()
    width, share = (2, _HALF) if config.bf16 else (4, _WHOLE)
    if config.recompute:
        return float(2 * said.hidden_size * said.num_hidden_layers * width)
    kept = share * size.ends * width
    if config.lora and config.lora_dropout:
        kept += size.ends / 2  # a byte for each input that may fall out
    drops = getattr(said, "attention_probs_dropout_prob", 0) or getattr(said, "attention_dropout", 0)
    if drops and device.type == "cpu":
        kept += 2.5 * said.num_attention_heads * longest * said.num_hidden_layers * width
    return float(kept)


def opened(wanted: Backbone, device: torch.device) -> tuple[TransformerRetriever, OpenLM | None]:
    """Return the retriever and, unless it learns from pairs alone, the LM, on DEVICE, ready to learn.

    With adapters the weights themselves stay, in bfloat16 where the run multiplies in it.
    """
    config = wanted.config
    dtype = torch.bfloat16 if config.lora and config.bf16 else torch.float32
    torch.manual_seed(config.seed)
    retriever = TransformerRetriever.open(wanted.source, dtype=dtype)
    reader: OpenLM | None = None
    if config.objective is not Objective.PAIRS:
        if wanted.lm is None:
            reader = lm.load(lm.shipped())
        else:
            reader = HubLM.open(wanted.lm, longest=config.lm_longest, dtype=dtype)
    if config.lora:
        said = config.lora, config.lora_alpha, config.lora_dropout
        retriever.model = adapters(retriever.model, *said)  # type: ignore[arg-type]
        if reader is not None and wanted.lm is not None:
            reader.lm = adapters(reader.lm, *said)
    if config.recompute:
        model: Any = retriever.model
        older = model.gradient_checkpointing_enable
        getattr(model, "activation_checkpointing_enable", older)({"use_reentrant": False})
    return retriever.to(device), reader.to(device) if reader is not None else None


def offered(held_chunks: Sequence[Any], commits: Sequence[Any] = ()) -> Material:
    """Return what a repository offers; what belongs together is found with the embedded pair's own pieces."""
    pieces = Tokenizer.from_file(str(base_bundle() / TOKENIZER))
    return material(held_chunks, pieces, of_lm(), commits)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a run is shown."""

    groups: TextGroups | None
    unseen: TextGroups | None
    """Groups of other documents, to measure on."""
    pairs: TextPairSampler | None


def drawn(materials: Sequence[Material], reader: OpenLM | None, config: FinetuneConfig) -> Drawn:
    """Return what is drawn from MATERIALS, a repository each, for READER; one without a chunk gives nothing."""
    materials = [one for one in materials if one.texts.body]
    if not materials:
        raise TooLittleError("there is nothing to learn from: no code is long enough")
    paper = config.objective is Objective.REVELA
    pairs = TextPairSampler(materials, config) if config.pairs and not paper else None
    if reader is None:
        return Drawn(None, None, pairs)
    asked = config.asked and not paper
    made = GroupConfig(seed=config.seed, documents=config.documents, asked=asked)

    def shelves(keep: bool, shape: GroupConfig) -> TextGroups | None:
        found = []
        for one in materials:
            if one.library is None:
                continue
            out = one.library.cluster % _UNSEEN == _UNSEEN // 2
            sampler = GroupSampler(only(one.library, ~out if keep else out), shape)
            if len(sampler) >= (1 if keep else shape.documents):
                found.append(Shelf(sampler, one.library, one.texts))
        return TextGroups(found, reader, asked=asked, seed=config.seed) if found else None

    return Drawn(shelves(True, made), shelves(False, replace(made, distractors=0)), pairs)


def attempt(
    held: HeldOut, wanted: Backbone, out: Path, provenance: dict[str, Any], world: World
) -> Generator[Event, None, tuple[Adapted, Bundle]]:
    """Train WANTED on what HELD offers and export it to OUT; its development questions say when to stop."""
    config = wanted.config
    yield Adapting(f"loading {wanted.source.name}")
    retriever, reader = opened(wanted, world.device)
    chosen = drawn([offered(held.chunks, held.commits)], reader, config)
    exam = Exam.of(held.development, held.chunks)
    run = Finetuning(retriever, reader, chosen.groups, chosen.pairs, config, world)
    yield Adapting("training")
    adapted = yield from _trained(run, exam, chosen.unseen)
    yield Adapting("exporting")
    said = provenance | {"backbone": wanted.source.name, "lm": wanted.lm.name if wanted.lm else "embedded"}
    said |= {"config": asdict(config), "steps": adapted.steps, "development_mrr": [adapted.before, adapted.after]}
    texts = [document(chunk) for chunk in held.chunks[:: max(1, len(held.chunks) // _COMPARED)]][:_COMPARED]
    made = export_transformer.export(
        retriever, out, name=f"{wanted.source.name}, adapted", texts=texts, exam=exam, provenance=said, adapted=True
    )
    return adapted, made


def finetune(
    sources: Sequence[Path],
    backbone: str,
    lm_name: str | None,
    config: FinetuneConfig,
    out: Path,
    work: Path,
    device: str | None,
    say: Callable[[str], None],
    command: str,
    checkpoints: str | None = None,
) -> None:
    """Train a transformer on SOURCES, a repository each, from the checkpoint in WORK if there is one; export it to OUT.

    With several processes (`torchrun`) each has its part of every step, and the first writes. Checkpoints are kept at
    the URI CHECKPOINTS, too, and a later one there is gone on from.
    """
    with world(device) as us:
        if checkpoints and us.local_first and checkpoint.fetch(work, checkpoints):
            say(f"going on from the checkpoint at {checkpoints}")
        us.wait()
        wanted = prepare(backbone, lm_name, config, us.device)
        retriever, reader = opened(wanted, us.device)
        materials, exams, texts = [], [], []
        with tempfile.TemporaryDirectory(prefix="revela-train-") as scratch:
            for number, source in enumerate(sources):
                held = hold_out(source.resolve(strict=True), Path(scratch, str(number)), Settings())
                materials.append(offered(held.chunks, held.commits))
                exams.append(Exam.of(held.development, held.chunks, others=OTHERS // len(sources)))
                texts += [document(chunk) for chunk in held.chunks[:_COMPARED]]
        exam, chunks = Exam.joined(exams), sum(len(one.texts.body) for one in materials)
        chosen = drawn(materials, reader, config)
        run = Finetuning(retriever, reader, chosen.groups, chosen.pairs, config, us)
        if us.first:
            say(f"{chunks:,} chunks; folders: {len(sources)}; processes: {us.size}, on {us.device.type}")
            say(f"development MRR {exam.mrr(retriever):.4f} of {len(exam.questions)} questions")
        for stepped in run.run(work):
            saved = stepped.step % config.checkpoint_every == 0 or stepped.progress >= 1
            if checkpoints and saved and us.first:
                checkpoint.send(work, checkpoints)
            if us.first and (stepped.step % _SAID == 0 or stepped.progress >= 1):
                speed = stepped.tokens * us.size / max(stepped.seconds, 1e-9)
                said = [f"step {stepped.step}/{config.steps}", f"{speed:,.0f} LM tokens/s", f"{stepped.seconds:.0f} s"]
                if stepped.loss is not None:
                    said.insert(1, f"LM {stepped.loss:.3f}")
                if stepped.contrast is not None:
                    said.insert(1, f"pairs {stepped.contrast:.3f}")
                say("  ".join(said))
        if not us.first:
            return
        if us.device.type == "cuda":
            say(f"{torch.cuda.max_memory_allocated(us.device) / _GIGA:.1f} GB of the GPU at most")
        provenance: dict[str, Any] = {
            "backbone": wanted.source.name,
            "lm": wanted.lm.name if wanted.lm else "embedded",
            "command": command,
            "config": asdict(config),
            "repositories": [source.resolve().name for source in sources],
            "chunks": chunks,
            "development_mrr": round(exam.mrr(retriever), 4),
        }
        say(f"development MRR {provenance['development_mrr']:.4f}")
        if chosen.unseen is not None and reader is not None:
            found_losses = heard(run.weights_of, reader, [chosen.unseen(i) for i in range(_MEASURED)])
            say(str(found_losses))
            provenance["held_out_losses"] = asdict(found_losses)
        compared = texts[:: max(1, len(texts) // _COMPARED)][:_COMPARED]
        name = f"{wanted.source.name}, finetuned"
        made = export_transformer.export(retriever, out, name=name, texts=compared, exam=exam, provenance=provenance)
        say(f"{made.folder}: {made.description.provenance['precision']}, fingerprint {made.fingerprint}")


def _trained(run: Finetuning, exam: Exam, unseen: TextGroups | None) -> Generator[Event, None, Adapted]:
    """Train, and keep what answers EXAM best, or the last where there are too few questions to tell."""
    config, judged = run.config, len(exam.questions) >= _JUDGED
    before = best = after = exam.mrr(run.retriever)
    kept, kept_step, waited, mrr = _copied(run.retriever), 0, 0, None
    for stepped in run.run():
        due = stepped.progress >= 1 or (config.evaluate_every and stepped.step % config.evaluate_every == 0)
        if due and exam.questions:
            mrr = exam.mrr(run.retriever)
            run.retriever.train()
        said = stepped.step, config.steps, stepped.progress, stepped.loss
        yield Trained(*said, None, before, mrr, stepped.seconds)
        if not due:
            continue
        if not judged or (mrr is not None and mrr > best):
            best, waited = mrr or best, 0
            kept, kept_step, after = _copied(run.retriever), stepped.step, best
        elif (waited := waited + 1) >= config.patience:
            break
    _put(run.retriever, kept)
    run.retriever.eval()
    found: Heard | None = None
    if unseen is not None and run.lm is not None:
        found = heard(run.weights_of, run.lm, [unseen(i) for i in range(_MEASURED)])
    return Adapted(None, kept_step, run.seconds, before, after, run.shares, found)


def _copied(model: nn.Module) -> list[Tensor]:
    return [one.detach().clone() for one in learnt(model)]


@torch.no_grad()
def _put(model: nn.Module, kept: Sequence[Tensor]) -> None:
    for parameter, value in zip(learnt(model), kept, strict=True):
        parameter.copy_(value)
