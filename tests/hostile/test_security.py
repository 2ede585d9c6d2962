"""SECURITY.md names tests that exist, and all of the tests that are about strangers."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def defined(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_promise_names_a_test_that_exists() -> None:
    promised = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is promised")[2]
    promised, _, _ = promised.partition("## What is not promised")
    rows = [line for line in promised.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 20
    for row in rows:
        named = NAMED.findall(row)
        assert named and row.count("::") == len(named), row
        for file, name in named:
            assert name in defined(file), f"{file}::{name}"


def test_every_nasty_file_of_tests_is_named() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for file in (ROOT / "tests" / "hostile").glob("test_*.py"):
        assert f"tests/hostile/{file.name}" in text
