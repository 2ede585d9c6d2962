"""A folder of modules that change while they are searched, and the memory of what stood in them when.

A module is a file about one made-up word, and its version is in the name of its function. So each result tells which
version it is of, and the memory whether that is one that the file had, and whether it still had it.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

_SYLLABLES: Final = ("ba", "ke", "li", "mo", "nu", "pi", "ra", "so", "tu", "ve")
_SYMBOL: Final = re.compile(r"([a-z]+)_at_(\d+)")
_MODULE: Final = '''"""About {word}."""

VERSION = {version}


def {word}_at_{version}(x):
    """Tell what {word} is by now."""
    return {word}_helper(x) + {version}


def {word}_helper(x):
    return x
'''


def words(n: int) -> list[str]:
    """Return N made-up words, none of which is like another."""
    return ["".join(some) for some in itertools.islice(itertools.product(_SYLLABLES, repeat=3), 0, None, 997 // n)][:n]


@dataclass(slots=True)
class _Stay:
    """One version of a module, and the time, by the monotonic clock, in which it may have been there."""

    version: int
    since: float
    until: float = inf
    surely_until: float = inf
    """From here on it may have been gone."""
    surely_since: float = inf


class Tree:
    """The modules in ROOT; one thread changes them, others ask what was there."""

    def __init__(self, root: Path, outside: Path, modules: int, seed: int) -> None:
        self.root = root
        self.words = words(modules)
        self.edits = 0
        self._aside = outside / "aside.py"
        self._chance = random.Random(seed)
        self._past: dict[str, list[_Stay]] = {word: [] for word in self.words}
        self._remembering = threading.Lock()
        for word in self.words:
            self._write(word, 0)

    def file(self, word: str) -> Path:
        """Return where the module of WORD is."""
        return self.root / f"part_{self.words.index(word) % 4}" / f"{word}.py"

    def edit(self) -> None:
        """Change one module: mostly write its next version; sometimes remove it, until it is written again."""
        word = self._chance.choice(self.words)
        past = self._past[word]
        if past[-1].until == inf and self._chance.random() < 0.15:
            with self._leaving(past):
                self.file(word).unlink()
        else:
            self._write(word, past[-1].version + 1)
        self.edits += 1

    def _write(self, word: str, version: int) -> None:
        """Let there be VERSION of a module, all at once, as editors write files."""
        file, past = self.file(word), self._past[word]
        file.parent.mkdir(exist_ok=True)
        self._aside.write_text(_MODULE.format(word=word, version=version))
        with self._leaving(past):
            stay = _Stay(version, time.monotonic())
            with self._remembering:
                past.append(stay)
            os.replace(self._aside, file)  # noqa: PTH105
            stay.surely_since = time.monotonic()

    def _leaving(self, past: list[_Stay]) -> Any:
        return _Leaving(past[-1] if past and past[-1].until == inf else None)

    # What was there. Times are by the monotonic clock, which all processes of a machine share.

    def stays(self, word: str) -> Iterator[_Stay]:
        with self._remembering:
            return iter(list(self._past.get(word, ())))

    def had(self, word: str, version: int, begun: float, ended: float) -> bool:
        """Tell whether the module of WORD was at VERSION at any time between BEGUN and ENDED."""
        return any(stay.version == version and stay.since <= ended and stay.until >= begun for stay in self.stays(word))

    def steady(self, word: str, begun: float, ended: float) -> int | None:
        """Return the version that the module of WORD had all the time from BEGUN to ENDED, or None."""
        for stay in self.stays(word):
            if stay.surely_since <= begun and stay.surely_until >= ended:
                return stay.version
        return None

    def wrong(self, answer: dict[str, Any], begun: float, ended: float) -> list[str]:
        """Return what of ANSWER, asked and given between BEGUN and ENDED, is not so; nothing where all is.

        What is found must have stood there at some time; where the answer says that it is fresh, since it was asked.
        And one file has one version in one answer.
        """
        fresh = answer["state"] == "fresh"
        found: dict[str, int] = {}
        complaints = []
        for result in answer["results"]:
            named = _SYMBOL.fullmatch(result["symbol"])
            if named is None:
                continue
            word, version = named[1], int(named[2])
            if found.setdefault(word, version) != version:
                complaints.append(f"{word} has two versions, {found[word]} and {version}")
            if not self.had(word, version, begun if fresh else -inf, ended):
                complaints.append(f"{word} was not at version {version}" + (" any more" if fresh else ""))
            if fresh and f"def {result['symbol']}(" not in result["text"]:
                complaints.append(f"{result['symbol']} is shown with other text: {result['text'][:60]!r}")
        asked = answer["query"]
        version_asked = self.steady(asked, begun, ended) if asked in self._past else None
        if fresh and version_asked is not None and found.get(asked) != version_asked:
            complaints.append(f"{asked} is at version {version_asked}, and was found at {found.get(asked)}")
        return complaints


class _Leaving:
    """Within, a version may be there still or not; what comes after, it is not."""

    def __init__(self, stay: _Stay | None) -> None:
        self._stay = stay

    def __enter__(self) -> None:
        if self._stay:
            self._stay.surely_until = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self._stay:
            self._stay.until = time.monotonic()
