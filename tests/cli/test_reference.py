"""The table of commands and flags in codesearch/README.md is what the program says of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup

from codesearch.cli.app import app

PAGE = Path(__file__).parents[2] / "codesearch/README.md"
BEGIN, END = "<!-- commands: UPDATE_GOLDENS=1 pytest tests/cli/test_reference.py -->\n", "<!-- /commands -->\n"


def commands(group: TyperCommand | TyperGroup, name: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """Yield every command with its name, those of a group behind the group's."""
    if isinstance(group, TyperGroup):
        for part, command in group.commands.items():
            yield from commands(command, f"{name} {part}".strip())  # type: ignore[arg-type]
    else:
        yield name, group


def reference() -> Iterator[str]:
    for name, command in commands(typer.main.get_command(app)):  # type: ignore[arg-type]
        context = typer.Context(command, info_name=name)
        usage = " ".join(word for word in command.collect_usage_pieces(context) if word != "[OPTIONS]")
        yield f"### `codesearch {f'{name} {usage}'.strip()}`\n\n"
        yield f"{' '.join((command.help or '').split())}\n\n"
        yield "| | |\n|---|---|\n"
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is None or isinstance(parameter, TyperArgument) or "--help" in parameter.opts:
                continue
            spelt, told = (" ".join(text.split()).replace("|", "\\|") for text in record)
            yield f"| `{spelt}` | {told} |\n"
        yield "\n"


def test_every_command_and_flag_is_in_the_table_and_nothing_else_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    said, after = rest.split(END)
    table = "".join(reference())
    if os.environ.get("UPDATE_GOLDENS"):
        PAGE.write_text(f"{before}{BEGIN}{table}{END}{after}", encoding="utf-8")
    assert said == table, "UPDATE_GOLDENS=1 writes it anew"


def test_every_command_says_what_it_does_in_one_line_and_every_flag_in_words() -> None:
    for name, command in commands(typer.main.get_command(app)):  # type: ignore[arg-type]
        short = command.get_short_help_str(60)
        assert short and not short.endswith("..."), f"{name}: {short}"
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"
