"""A git of the tests' own, away from the configuration of whoever runs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., str]
Write = Callable[[Path, dict[str, str | bytes]], Path]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and nothing of git or codesearch in the environment."""
    folder = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(("GIT_", "CODESEARCH_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return folder


@pytest.fixture
def git() -> Git:
    """Git as anybody calls it: `git(folder, "init")`."""

    def call(folder: Path, *arguments: str, check: bool = True) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=folder,
            check=check,
            capture_output=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        return os.fsdecode(done.stdout)

    return call


@pytest.fixture
def write() -> Write:
    """Write files: `write(folder, {"a/b.py": "x = 1"})`."""

    def call(folder: Path, files: dict[str, str | bytes]) -> Path:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return call
