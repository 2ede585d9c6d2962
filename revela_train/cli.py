"""`revela-train`: the trainer's commands."""

from __future__ import annotations

import shlex
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from codesearch.cli.visible import visible
from codesearch.errors import CodesearchError
from revela_train.config import COSTS, PRESETS, AdaptConfig, FinetuneConfig, Objective, Preset, RevelaConfig
from revela_train.precision import Precision

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Train retrievers for codesearch.")


@app.command()
def pretrain(
    sources: Annotated[Path, typer.Argument(help="Folder with repositories.json and one folder a repository.")],
    out: Annotated[Path, typer.Option(help="Where to write the bundle.")],
    work: Annotated[Path, typer.Option(help="Where the stages keep their files; a second run continues from them.")],
    measured: Annotated[
        list[Path] | None, typer.Option(help="Folder of repositories kept for measuring; what equals theirs stays out.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    precision: Annotated[
        Precision, typer.Option(help="Of the bundle's vectors: int8 is half as large as float16, float32 twice.")
    ] = Precision.FLOAT16,
) -> None:
    """Pretrain the static base retriever from scratch and export it as a bundle."""
    from revela_train.config import PretrainConfig
    from revela_train.pretrain import pretrain as run

    console = Console(stderr=True)
    config = PretrainConfig(seed=seed) if steps is None else PretrainConfig(seed=seed, steps=steps)
    command = shlex.join(["revela-train", *sys.argv[1:]])

    def say(line: str) -> None:
        console.print(line, highlight=False)

    bundle = run(sources, measured or [], work, out, config, say, command, precision)
    console.print(f"{bundle.folder}: fingerprint {bundle.fingerprint}", highlight=False)


@app.command()
def joint(
    base: Annotated[Path, typer.Argument(help="The bundle to start from: what pretrain gave.")],
    out: Annotated[Path, typer.Option(help="Where to write lm/, base/ and frequencies.safetensors.")],
    work: Annotated[Path, typer.Option(help="Where pretrain kept its corpus; a second run continues from here.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Pretrain the embedded LM, and with it the retriever by Revela and pairs together."""
    from revela_train.config import JointConfig
    from revela_train.pretrain_joint import pretrain as run

    console = Console(stderr=True)
    config = JointConfig(seed=seed) if steps is None else JointConfig(seed=seed, steps=steps)
    command = shlex.join(["revela-train", *sys.argv[1:]])
    run(work, base, out, config, lambda line: console.print(line, highlight=False), command)


@app.command()
def finetune(
    sources: Annotated[list[Path], typer.Argument(help="Folders of code, a repository each.")],
    backbone: Annotated[str, typer.Option(help="The transformer to train: a folder, or owner/name on Hugging Face.")],
    out: Annotated[Path, typer.Option(help="Where to write the bundle.")],
    work: Annotated[Path, typer.Option(help="Where checkpoints are kept; a second run continues from them.")],
    lm: Annotated[str, typer.Option(help="What teaches it: a causal LM. Without one, the embedded LM does.")] = "",
    preset: Annotated[Preset, typer.Option(help="The recipe; `revela-train presets` shows them.")] = Preset.REPOSITORY,
    objective: Annotated[Objective | None, typer.Option(help="What is minimised, in place of the preset's.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, help="Steps, in place of the preset's; 0 exports the backbone as it comes.")
    ] = None,
    lora: Annotated[int | None, typer.Option(help="Rank of the adapters; 0 trains all weights.")] = None,
    bf16: Annotated[bool | None, typer.Option("--bf16/--float32", help="What to multiply in.")] = None,
    recompute: Annotated[
        bool | None, typer.Option("--recompute/--keep", help="Compute the retriever's states again: less memory.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda. [default: a GPU where there is one]")] = "",
    checkpoints: Annotated[
        str, typer.Option(help="Keep checkpoints here, too, a folder or s3://…, and go on from a later one there.")
    ] = "",
) -> None:
    """Train a transformer as retriever on folders of code and export it as a bundle.

    On several GPUs: torchrun --nproc-per-node 4 -m revela_train.cli finetune …, with the same losses as on one.
    """
    from revela_train.backbone import finetune as run

    changed = {"objective": objective, "steps": steps, "lora": lora, "bf16": bf16, "recompute": recompute, "seed": seed}
    config = replace(PRESETS[preset], **{name: value for name, value in changed.items() if value is not None})
    console = Console(stderr=True)
    command = shlex.join(["revela-train", *sys.argv[1:]])

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    run(sources, backbone, lm or None, config, out, work, device or None, say, command, checkpoints or None)


@app.command()
def organisation(
    store: Annotated[str, typer.Argument(help="The store that `codesearch fleet index` made: a folder, or s3://….")],
    out: Annotated[Path, typer.Option(help="Where to write the bundle, if it passes.")],
    work: Annotated[
        str, typer.Option(help="Where draws and checkpoints are kept, a folder or s3://…; a second run goes on there.")
    ],
    owner: Annotated[list[str] | None, typer.Option(help="Train on what this owner has. [default: on all]")] = None,
    objective: Annotated[Objective, typer.Option(help="What is minimised.")] = Objective.BOTH,
    steps: Annotated[int, typer.Option(min=1, help="Training steps, at most.")] = 300,
    groups: Annotated[int, typer.Option(min=1, help="Groups of documents a step, shared among the processes.")] = 4,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Train one retriever on the repositories of a store; write it if it finds held-out functions of theirs better.

    Ray reads the repositories, on this machine or on the cluster that RAY_ADDRESS names. On several processes:
    torchrun --nproc-per-node 2 -m revela_train.cli organisation …, with the same losses as in one.

    Exits with 1 if it does not pass. What does is for a new store: codesearch fleet index … --model OUT --store NEW.
    """
    from codesearch.cli import report
    from codesearch.cli.fleet import place
    from codesearch.cli.progress import Watch
    from revela_train.distributed import world
    from revela_train.organisation import train

    config = AdaptConfig(objective=objective, steps=steps, groups=groups, budget=0, seed=seed)
    with world("cpu") as us:
        console = Console(stderr=True, quiet=not us.first)
        done = Watch(console).follow(train(place(store), owner or [], config, out, place(work), us))
    if done is None:
        return
    print("\n".join(report.proof_lines(done.proof)))
    if done.bundle is None:
        raise typer.Exit(1)
    print(f"{done.bundle.folder}: fingerprint {done.bundle.fingerprint}, of {done.repositories} repositories")


@app.command()
def presets() -> None:
    """Show the named recipes of `finetune` and of `codesearch train --preset`, and what they were measured to take."""
    table = Table("", *Preset)
    for one in fields(FinetuneConfig):
        values = [getattr(PRESETS[preset], one.name) for preset in Preset]
        if one.name == "revela":
            for inner in fields(RevelaConfig):
                table.add_row(inner.name, *(str(getattr(value, inner.name)) for value in values))
        else:
            table.add_row(one.name, *map(str, values))
    caption = "LM tokens. Measured on the card with random weights in these shapes, on two busy cores with real ones."
    named = [Column(name, overflow="fold") for name in ("preset", "retriever", "LM", "on")]  # a name cut short is none
    costs = Table(*named, "memory", "a step", "all", "tokens/s", caption=caption, box=None, padding=(0, 1, 0, 0))
    for cost in COSTS:
        units = [(3600, "h"), (60, "min"), (1, "s")]
        unit, name = next(one for one in units if cost.seconds >= 2 * one[0])
        tokens = f"{cost.tokens:,}" if cost.tokens else ""
        figures = f"{cost.gigabytes} GB", f"{cost.step:.3g} s", f"{cost.seconds / unit:.0f} {name}", tokens
        costs.add_row(cost.preset, cost.retriever, cost.lm, cost.where, *figures)
    console = Console()
    console.print(table)
    console.print(costs)


@app.command()
def reference(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of the authors' numbers; revela_train/reference.py says what is in them."),
    ],
    v_norm: Annotated[
        bool | None,
        typer.Option("--v-norm/--no-v-norm", help="Whether V-normalisation was on; without it, the file's name says."),
    ] = None,
) -> None:
    """Print how far in-batch attention is from the published implementation.

    Exits with 0 where all agree to 1e-4, with 1 where a quantity does not, with 2 where a file can not be read.
    """
    from revela_train.reference import differences

    table = Table("file", "quantity", Column("largest difference", justify="right"), "tolerance 1e-4")
    code = 0
    for file in files:
        try:
            found = differences(file, v_norm)
        except CodesearchError as error:
            print("revela-train:", "\n".join(map(visible, str(error).splitlines())), file=sys.stderr)
            code = 2
            continue
        for difference in found:
            verdict = "within" if difference.agrees else "above"
            table.add_row(Text(visible(file.name)), difference.quantity, f"{difference.largest:.1e}", verdict)
            code = max(code, 0 if difference.agrees else 1)
    if table.rows:
        Console().print(table)
    raise typer.Exit(code)


def main() -> None:
    """Entry point; an error is a message and the exit code 2."""
    # SIGTERM is a Ctrl-C, so that copies of code which lie in temporary folders go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except CodesearchError as error:
        print("revela-train:", "\n".join(map(visible, str(error).splitlines())), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
