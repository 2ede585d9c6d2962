"""A small repository in several languages, and what an index holds, in a form that two indexes can be compared by."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codesearch.events import Done, Event
from codesearch.settings import Settings
from codesearch.workspace import Workspace

FILES = {
    "README.md": "# Shop\n\nSells things.\n\n## Retries\n\nFailed payments are tried again with a growing delay.\n",
    "shop/cart.py": '''"""The cart."""

TAX = 0.2


class Cart:
    """What a customer wants to buy."""

    def __init__(self):
        self.items = []

    def add(self, item, count=1):
        """Put an item into the cart."""
        self.items.extend([item] * count)

    def total(self):
        """Sum the prices, with tax."""
        return sum(item.price for item in self.items) * (1 + TAX)
''',
    "shop/retry.py": '''"""What to do when a payment does not go through the first time, or the second."""

import random
import time

LONGEST_DELAY = 60
FIRST_DELAY = 1


def retry_with_backoff(call, attempts=5):
    """Call again after a failure, waiting twice as long each time."""
    for attempt in range(attempts):
        try:
            return call()
        except ConnectionError:
            time.sleep(2**attempt)
    raise TimeoutError


def same(x):
    return x


def other(y):
    return y
''',
    "web/server.go": """package web

import "net/http"

// Serve answers one request with the page of a product.
func Serve(w http.ResponseWriter, r *http.Request) {
\tname := r.URL.Query().Get("name")
\tw.Write([]byte(name))
}

type Page struct {
\tTitle string
}
""",
    "web/app.ts": """export function parseQuery(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of text.split("&")) {
    const [key, value] = part.split("=");
    found.set(key, value);
  }
  return found;
}
""",
    "empty.py": "",
    "notes/naïve café.txt": "Wörter mit Umlauten, und 'Anführungszeichen'.\n",
}


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def age(root: Path) -> None:
    """Date every file of ROOT back, so that none is so young that its date is not believed."""
    for file in root.rglob("*"):
        if file.is_file() and ".codesearch" not in file.parts:
            os.utime(file, (1_000_000_000, 1_000_000_000))
    time.sleep(0.1)  # which is a change itself, and as young


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for path, text in FILES.items():
        write(root, path, text)
    return root


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as workspace:
        yield workspace


def index(workspace: Workspace, **options: Any) -> Done:
    """Bring the index up to date and return what was done."""
    return finish(list(workspace.index(**options)))


def finish(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


def contents(workspace: Workspace) -> dict[str, Any]:
    """Return all that an index knows: rows with terms and vectors, files, statistics; not how it is laid out."""
    snapshot = workspace.snapshot()
    mirror, manifest = snapshot.mirror, snapshot.manifest
    terms = mirror.columns["terms"].to_pylist()
    rows = [(*mirror.row(i)[:-1], terms[i], mirror.vectors[i].tobytes()) for i in range(len(mirror))]
    return {
        "rows": sorted(rows),
        "files": sorted(
            (f.path, f.hash, f.size, f.language, f.chunks, f.terms, f.skipped) for f in manifest.files().values()
        ),
        "terms": list(manifest.vocabulary()),
        "totals": manifest.totals(),
    }


def fresh(root: Path, folder: Path) -> dict[str, Any]:
    """Return what an index of ROOT built from nothing, in FOLDER, holds."""
    with Workspace.open(root, Settings(index_dir=folder)) as workspace:
        index(workspace, workers=0)
        return contents(workspace)
