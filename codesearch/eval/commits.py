"""What people said when they wrote the code: commit messages, to learn from and to ask.

A message is about the chunks of which its commit wrote a good part, as they stand now; one that touched many says too
little of each. Of code without a comment it may be all that anybody has said.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codesearch import git
from codesearch.errors import GitError
from codesearch.text import words
from codesearch.types import Chunk, Kind

COMMITS: Final = 1000
"""Commits that are read, newest first."""
PATIENCE: Final = 10.0
"""Seconds that git may take over them; a repository so large does with fewer."""
MOST_CHANGED: Final = 8
"""Chunks that one commit may have written for its message to say something of each."""
_STRIDE: Final = 50
"""Commits asked of git at a time: where time or room runs out, what there is counts."""
_MOST_BYTES: Final = 64 << 20
"""Of diffs that are read; a history of data says nothing of code."""
_WRITTEN: Final = 0.3
"""Share of a chunk's lines that a commit must have written, at least two."""
_SHORTEST: Final = 3
"""Words of a message that says anything."""
_LONGEST: Final = 60
"""Words of a paragraph that still belongs to the subject."""

_TRAILER: Final = re.compile(r"(?:[A-Z][\w-]+-by|Change-Id|Closes|Fixes|Refs|Bug|Reviewed)\b.*[:#]|Merge |git-svn-id")
"""Begins a line of a commit message that says nothing of the code."""
_LABEL: Final = re.compile(r"(?:\[[^\]]*\]|\w+(?:\([^)]*\))?!?:)\s*|\s*\(#\d+\)$")
"""`fix(parser):`, `[core]`, `(#123)`: for those who keep the log."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a person said when they wrote some lines."""

    subject: str
    """First line, without labels."""
    message: str
    """Subject and first paragraph, without trailers."""
    added: Mapping[str, frozenset[str]]
    """Lines written, stripped, by the path that the file had then, relative to the root."""


def history(root: Path, *, limit: int = COMMITS, patience: float = PATIENCE) -> list[Commit]:
    """Return what the newest LIMIT commits below ROOT wrote; nothing where there is no history, or git is too slow."""
    if git.top_of(root) is None:
        return []
    deadline = time.monotonic() + patience
    form = ("--no-merges", "--relative", "--no-renames", "-p", "-U0", "--diff-filter=AM", "--format=%x00%B%x00")
    found: list[Commit] = []
    size = 0
    for skip in range(0, limit, _STRIDE):
        left = max(deadline - time.monotonic(), 0.1)
        try:
            out = git.run(root, "log", f"--skip={skip}", f"-n{_STRIDE}", *form, "--", ".", timeout=left)
        except GitError:
            break
        found += _commits(out.decode("utf-8", "replace"))
        size += len(out)
        if out.count(b"\0") < 2 * _STRIDE or size > _MOST_BYTES:
            break
    return found


def _commits(out: str) -> Iterator[Commit]:
    """Yield the commits of what `git log` printed."""
    parts = out.split("\0")
    for message, diff in zip(parts[1::2], parts[2::2], strict=False):
        paragraphs = message.strip().split("\n\n")
        lines = [line for line in paragraphs[0].splitlines() if not _TRAILER.match(line)]
        subject = _LABEL.sub("", " ".join(" ".join(lines[:1]).split()))
        lines += [p for p in paragraphs[1:2] if not _TRAILER.match(p) and len(words(p)) <= _LONGEST]
        told = " ".join(" ".join(lines).split())
        added: dict[str, set[str]] = {}
        current: set[str] = set()
        for line in diff.splitlines():
            if line.startswith("+++ b/"):
                current = added.setdefault(line[6:], set())
            elif line.startswith("+") and not line.startswith("+++"):
                current.add(line[1:].strip())
        if added and len(words(told)) >= _SHORTEST:
            yield Commit(subject, told, {path: frozenset(lines) for path, lines in added.items()})


def written(chunks: Sequence[Chunk], commits: Iterable[Commit]) -> Iterator[tuple[Commit, list[int]]]:
    """Yield each of COMMITS that wrote a good part of some CHUNKS, and of few, with the numbers of those."""
    of_file: dict[str, list[tuple[int, frozenset[str]]]] = defaultdict(list)
    for row, chunk in enumerate(chunks):
        lines = frozenset(filter(words, map(str.strip, chunk.text.splitlines())))
        if chunk.kind is not Kind.SECTION and lines:
            of_file[chunk.path].append((row, lines))
    for commit in commits:
        rows = [
            row
            for path, added in commit.added.items()
            for row, lines in of_file.get(path, ())
            if len(lines & added) >= max(2, _WRITTEN * len(lines))
        ]
        if 0 < len(rows) <= MOST_CHANGED:
            yield commit, rows
