"""Questions asked before, one JSON object a line, in the per-user state folder: `{"root": …, "question": …}`.

They tell what somebody was looking for, so nobody else may read them. A history that can not be read or written is
none: it is a comfort, and nothing may fail for it.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

KEPT: Final = 1000
"""Questions of all folders; the file is cut when it holds twice as many."""
_LONGEST: Final = 1000
"""Characters; a pasted stack trace is a question too, but a file is not."""


def place() -> Path:
    """Return where the history is."""
    import platformdirs

    return Path(platformdirs.user_state_dir("codesearch", appauthor=False)) / "history.jsonl"


class History:
    """The questions asked of one folder, or of one store, the latest last, each once."""

    def __init__(self, root: str, file: Path | None = None) -> None:
        """Read those asked of ROOT before; it is the URI of a store, or a path."""
        self._root = root
        self._file = file or place()
        self.questions: list[str] = []
        lines = self._lines()
        for line in lines:
            self._take(line)
        if len(lines) > 2 * KEPT:
            self._cut(lines[-KEPT:])

    def add(self, question: str) -> None:
        """Remember QUESTION as the latest."""
        question = question.strip()[:_LONGEST]
        if not question or self.questions[-1:] == [question]:
            return
        self._put(question)
        line = json.dumps({"root": self._root, "question": question}) + "\n"
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(self._file, how, 0o600), "a", encoding="utf-8") as file:
                file.write(line)

    def _put(self, question: str) -> None:
        with suppress(ValueError):
            self.questions.remove(question)
        self.questions.append(question)

    def _lines(self) -> list[str]:
        try:
            return self._file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    def _take(self, line: str) -> None:
        with suppress(ValueError, TypeError, KeyError):
            said = json.loads(line)
            if said["root"] == self._root and isinstance(said["question"], str):
                self._put(said["question"])

    def _cut(self, lines: list[str]) -> None:
        with suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self._file.parent)  # for this user alone
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
            Path(name).replace(self._file)
