"""Small repositories of git, stores of them, S3's stand-in, and a Ray cluster that the runs of a session share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from codesearch import bundle
from codesearch.fleet.build import Built, build
from codesearch.fleet.schema import Entry
from codesearch.fleet.sources import Source
from codesearch.paths import base_bundle
from tests.fleet import standin
from tests.index.conftest import FILES

BILLING = {
    "README.md": "# Billing\n\nSends invoices.\n",
    "billing/invoice.py": '''"""Invoices."""


def send_invoice(customer, amount):
    """Send the invoice by mail, and remember that it was sent."""
    mail(customer.address, f"{amount} are due")


class Ledger:
    """What was paid."""

    def balance(self, customer):
        """Return what a customer owes, zebra stripes and all."""
        return sum(self.open[customer])
''',
    "tests/test_invoice.py": "def test_the_invoice_is_sent():\n    assert send_invoice\n",
}
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, files: dict[str, str]) -> str:
    """Write FILES into the repository at FOLDER, which is made if need be, and commit; return the commit."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "work")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository in several languages."""
    commit(tmp_path / "acme/shop", FILES)
    return tmp_path / "acme/shop"


@pytest.fixture
def billing(tmp_path: Path) -> Path:
    """Another one, of the same owner."""
    commit(tmp_path / "acme/billing", BILLING)
    return tmp_path / "acme/billing"


def built(source: Source, uri: str, known: Entry | None = None) -> Built:
    """Return what a worker makes of SOURCE, here."""
    made = build(source, known, uri, str(base_bundle()), timeout=60, careful=False)
    assert isinstance(made, Built)
    return made


def filled(uri: str, sources: Sequence[Source]) -> None:
    """Index SOURCES into the store at URI, without Ray."""
    from codesearch.fleet.commit import Writer
    from codesearch.fleet.tidy import index_all

    writer = Writer.open(uri, bundle.load(base_bundle()))
    writer.commit([built(source, uri) for source in sources])
    index_all(writer)


@pytest.fixture(scope="session")
def cluster(s3: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which RAY_ADDRESS names a cluster that can write the bucket; it is started once."""
    with standin.cluster(s3) as (environment, _):
        yield environment


@pytest.fixture
def run(cluster: dict[str, str], tmp_path: Path) -> Command:
    """Run codesearch with arguments, where the cluster and the bucket are; return what it said."""

    def command(*arguments: str | Path, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "codesearch.cli", *map(str, arguments)]
        return subprocess.run(argv, capture_output=True, text=True, env=cluster, cwd=cwd, timeout=120)

    return command
