"""The light part of the editors' tests: their own runners, where they are there; the rest is in their READMEs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "extensions"
TIMEOUT = 120
"""Seconds; alone they take four."""


def run(*command: str | Path) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, "PYTHON": sys.executable}
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("nvim") is None, reason="nvim is not installed")
def test_neovim() -> None:
    """The plug-in does in a headless Neovim what its commands say."""
    run("bash", EXTENSIONS / "nvim/test/run")


BUILT = sorted((EXTENSIONS / "vscode/dist/test").glob("*.test.js"))


@pytest.mark.skipif(shutil.which("node") is None or not BUILT, reason="needs node and a build: npm test")
def test_vscode_units() -> None:
    """Framing, client, merging and finding the program hold; the editor itself is in e2e/run."""
    run("node", "--test", *BUILT)
