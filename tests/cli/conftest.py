"""The installed command, run as a person or a program runs it, on a repository of a few files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import SPEAKS, new_home

FILES = {
    "README.md": "# Shop\n\nSells things.\n\n## Payments\n\nFailed payments are tried again with a growing delay.\n",
    "shop/cart.py": '''"""The cart."""


class Cart:
    """What a customer wants to buy."""

    def add(self, item, count=1):
        """Put an item into the cart."""
        self.items.extend([item] * count)

    def total(self):
        """Sum the prices of all items, with value added tax."""
        return sum(item.price for item in self.items) * 1.2
''',
    "shop/retry.py": '''"""What to do about a payment that did not go through: the bank may only be busy."""

import random
import time

LONGEST = 60
FIRST = 1


def retry_with_backoff(call, attempts=5):
    """Call again after a failure, waiting twice as long each time."""
    for attempt in range(attempts):
        try:
            return call()
        except ConnectionError:
            time.sleep(2**attempt)
    raise TimeoutError
''',
    "web/query.go": """package web

import "strings"

// ParseQuery splits the query string of a URL into its parameters.
func ParseQuery(text string) map[string]string {
\tfound := map[string]string{}
\tfor _, part := range strings.Split(text, "&") {
\t\tkey, value, _ := strings.Cut(part, "=")
\t\tfound[key] = value
\t}
\treturn found
}
""",
}


class Command(Protocol):
    """Runs `codesearch ARGUMENTS` in a folder."""

    def __call__(
        self, *arguments: str | Path, cwd: Path, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def script() -> str:
    """The console script beside this interpreter."""
    found = shutil.which("codesearch", path=str(Path(sys.executable).parent))
    assert found, "codesearch is not installed: pip install -e '.[dev]'"
    return found


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that says nothing, with an empty home."""
    said = {name: value for name, value in os.environ.items() if not name.startswith(SPEAKS)}
    said |= {"HOME": str(new_home(tmp_path_factory)), "GIT_CONFIG_SYSTEM": os.devnull}
    return said | {"CODESEARCH_NO_SERVER": "1"}  # tests/server is about servers


@pytest.fixture(scope="session")
def codesearch(script: str, surroundings: dict[str, str]) -> Command:
    def run(*arguments: str | Path, cwd: Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script, *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            env=surroundings | environment,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    return run


def write(root: Path, files: dict[str, str] = FILES) -> Path:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        # Files as young as this would be looked into again by the next run, and that be shown.
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return root


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository nobody has indexed."""
    return write(tmp_path / "shop")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, codesearch: Command) -> Path:
    """The same, indexed; for tests that change nothing."""
    root = write(tmp_path_factory.mktemp("indexed"))
    done = codesearch("index", ".", "--no-train", cwd=root)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "4 files" in done.stderr
    return root
