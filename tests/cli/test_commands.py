"""`index`, `status` and `inspect`, and what every command has in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import codesearch as package
from codesearch.bundle import load
from codesearch.paths import base_bundle
from tests.cli.conftest import Command


def test_indexing_again_says_that_there_is_nothing_to_do(indexed: Path, codesearch: Command) -> None:
    done = codesearch("index", indexed, "--no-train", cwd=indexed.parent)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("up to date: 4 files")


def test_what_is_skipped_is_named_with_its_reason(shop: Path, codesearch: Command) -> None:
    (shop / "logo.png").write_bytes(b"\x89PNG\0")
    (shop / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    said = codesearch("index", cwd=shop).stderr
    assert "binary: logo.png" in said
    assert "secret: id_rsa" in said


def test_a_small_folder_is_not_trained_for_and_says_so(shop: Path, codesearch: Command) -> None:
    pytest.importorskip("torch")
    said = codesearch("index", cwd=shop).stderr
    assert "too few to adapt the retriever to" in said.splitlines()[-1]
    assert "too few" not in codesearch("index", "--no-train", cwd=shop).stderr
    trained = codesearch("train", cwd=shop)
    assert (trained.returncode, "not adapted" in trained.stdout) == (1, True), trained.stderr
    assert "not adapted" in codesearch("status", cwd=shop).stdout
    measured = codesearch("eval", "--json", cwd=shop)
    assert measured.returncode == (0 if json.loads(measured.stdout)["mrr"] else 1)


def test_status_tells_what_is_there_and_why_it_is_stale(shop: Path, codesearch: Command) -> None:
    def status() -> dict[str, object]:
        said: dict[str, object] = json.loads(codesearch("status", "--json", cwd=shop).stdout)
        return said

    before = status()
    assert (before["state"], before["files"], before["chunks"]) == ("missing", 0, 0)
    assert not (shop / ".codesearch").exists()
    codesearch("index", cwd=shop)
    after = status()
    assert (after["state"], after["files"], after["root"]) == ("fresh", 4, str(shop))
    assert after["languages"]["python"]["files"] == 2  # type: ignore[index]
    assert after["model"]["fingerprint"] == load(base_bundle()).fingerprint  # type: ignore[index]
    assert after["bytes"] > 0  # type: ignore[operator]
    (shop / "new.py").write_text("NEW = 1\n")
    assert status()["state"] == "files"
    lines = codesearch("status", cwd=shop).stdout
    assert "files have changed" in lines and str(shop / ".codesearch") in lines


def test_inspect_shows_the_chunks_of_a_file(indexed: Path, codesearch: Command) -> None:
    done = codesearch("inspect", "cart.py", "--root", "..", cwd=indexed / "shop")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "shop/cart.py: indexed"
    assert [line.split()[1:] for line in lines[1:]] == [
        ["class", "Cart"],
        ["method", "Cart.add"],
        ["method", "Cart.total"],
    ]


@pytest.mark.parametrize(
    ("path", "reason"),
    [(".env", "secret"), ("no-such.py", "missing"), ("../outside.py", "outside"), ("build/out.py", ".gitignore")],
)
def test_inspect_says_why_a_file_is_not_indexed(path: str, reason: str, shop: Path, codesearch: Command) -> None:
    for name in ".env", "../outside.py", "build/out.py":
        (shop / name).parent.mkdir(exist_ok=True)
        (shop / name).write_text("A = 1\n")
    (shop / ".gitignore").write_text("build/\n")
    done = codesearch("inspect", path, cwd=shop)
    assert done.returncode == 1
    assert "not indexed" in done.stdout and reason in done.stdout


def test_the_version_and_the_help_of_every_command_are_there(tmp_path: Path, codesearch: Command) -> None:
    assert codesearch("--version", cwd=tmp_path).stdout == f"codesearch {package.__version__}\n"
    for command in "index", "ask", "status", "inspect":
        assert command in codesearch("--help", cwd=tmp_path).stdout
        assert "--root" in codesearch(command, "-h", cwd=tmp_path).stdout or command == "index"


def test_without_a_terminal_there_is_help_and_no_interface(shop: Path, codesearch: Command) -> None:
    alone = codesearch(cwd=shop)
    assert "Usage:" in alone.stdout + alone.stderr and "tui" in alone.stdout + alone.stderr
    asked = codesearch("tui", cwd=shop)
    assert (asked.returncode, asked.stdout) == (2, "") and "needs a terminal" in asked.stderr
    assert not (shop / ".codesearch").exists()
