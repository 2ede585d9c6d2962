"""Bad input: one clear message on standard error that says what to do, exit 2, nothing on standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Command, write


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("index", "no/such/folder"), "no/such/folder"),
        (("ask", "cart", "--root", "README.md"), "not a folder"),
        (("ask",), "one question"),
        (("ask", " "), "one question"),
        (("ask", "cart", "--batch", "-"), "one question"),
        (("ask", "--batch", "no-such-file"), "no-such-file"),
        (("ask", "cart", "--limit", "0"), "limit"),
        (("ask", "cart", "--mode", "magic"), "mode"),
        (("status", "--max-filesize", "huge"), "max-filesize"),
        (("serve-me-tea",), "serve-me-tea"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_said_and_nothing_is_written(
    arguments: tuple[str, ...], said: str, shop: Path, codesearch: Command
) -> None:
    done = codesearch(*arguments, cwd=shop)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert arguments == ("ask", "--batch", "no-such-file") or not (shop / ".codesearch").exists()


def test_a_folder_without_anything_to_index_says_so(tmp_path: Path, codesearch: Command) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\0\0\0")
    for command in ("index", "."), ("ask", "cart"):
        done = codesearch(*command, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "nothing to index" in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_index_is_built_again_and_that_is_said(shop: Path, codesearch: Command) -> None:
    assert codesearch("index", cwd=shop).returncode == 0
    (shop / ".codesearch" / "gen-1" / "manifest.sqlite").write_bytes(b"not a database" * 100)
    assert json.loads(codesearch("status", "--json", cwd=shop).stdout)["state"] == "damaged"
    done = codesearch("ask", "cart total", "-n", "1", cwd=shop)
    assert done.returncode == 0
    assert done.stdout.startswith("shop/cart.py:")
    assert "The index was damaged, so it is built again." in done.stderr
    assert json.loads(codesearch("status", "--json", cwd=shop).stdout)["state"] == "fresh"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_an_index_that_the_next_run_completes(
    tmp_path: Path, codesearch: Command, script: str, surroundings: dict[str, str], sent: signal.Signals, code: int
) -> None:
    body = "".join(f"def function_{n}(value):\n    return value + {n}\n\n\n" for n in range(200))
    root = write(tmp_path, {f"package_{n}/module.py": body for n in range(100)})
    process = subprocess.Popen(
        [script, "index"], cwd=root, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(root.glob(".codesearch/gen-1/store/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, sent)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, ""), stderr
    assert "interrupted" in stderr and "Traceback" not in stderr
    again = codesearch("index", "--no-train", cwd=root)
    assert again.returncode == 0
    assert "100 files, 20,000 chunks" in again.stderr
