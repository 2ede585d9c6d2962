"""`revela-train`: the trainer's commands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Train retrievers for codesearch.")


@app.callback()
def _commands() -> None:
    """Keep `pretrain` a command of its own."""


@app.command()
def pretrain(
    sources: Annotated[Path, typer.Argument(help="Folder with repositories.json and one folder a repository.")],
    out: Annotated[Path, typer.Option(help="Where to write the bundle.")],
    work: Annotated[Path, typer.Option(help="Where the stages keep their files; a second run continues from them.")],
    measured: Annotated[
        list[Path] | None, typer.Option(help="Folder of repositories kept for measuring; what equals theirs stays out.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Pretrain the static base retriever from scratch and export it as a bundle."""
    from revela_train.config import PretrainConfig
    from revela_train.pretrain import pretrain as run

    console = Console(stderr=True)
    config = PretrainConfig(seed=seed) if steps is None else PretrainConfig(seed=seed, steps=steps)
    command = shlex.join(["revela-train", *sys.argv[1:]])
    bundle = run(sources, measured or [], work, out, config, lambda line: console.print(line, highlight=False), command)
    console.print(f"{bundle.folder}: fingerprint {bundle.fingerprint}", highlight=False)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
