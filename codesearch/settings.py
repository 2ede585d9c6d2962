"""What a person can set: one value for the whole program, each field explained in the user's words.

What is typed or set elsewhere becomes a `Settings` once, at the edge (`config`); everything below is handed one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from codesearch.errors import UsageError

MEGABYTE = 1_000_000
"""Bytes; sizes are decimal, as disks and file managers count."""

_UNITS = {"": 1, "k": 1_000, "m": MEGABYTE, "g": 1_000 * MEGABYTE}
_SIZE = re.compile(r"\s*(\d{1,12})\s*([kmg]?)(?:i?b)?\s*", re.IGNORECASE | re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*([smh]?)\s*", re.IGNORECASE | re.ASCII)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, slots=True)
class Settings:
    """How one run behaves. The defaults are what `codesearch index .` does."""

    max_filesize: int = MEGABYTE
    """Files with more bytes than this are skipped, and named."""
    hidden: bool = False
    """Also index files and folders whose names begin with a dot (never `.git`, never secrets)."""
    no_ignore: bool = False
    """Disregard `.gitignore`, `.ignore` and `.codesearchignore`. Binaries, generated files and secrets stay out."""
    index_dir: Path | None = None
    """Keep the index in this folder instead of `<ROOT>/.codesearch`."""
    model: Path | None = None
    """Search with the bundle in this folder instead of the one that ships."""


def parse_size(text: str, name: str) -> int:
    """Return the bytes that TEXT means: `500000`, `500k`, `1MB`, `2 G`; NAME is what the error calls it.

    Raises:
        UsageError: TEXT is not a size above zero.
    """
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _UNITS[match[2].lower()] if match else 0
    if size <= 0:
        raise UsageError(f"{name} is {text!r}, which is not a size: give bytes, or a number with k, M or G, such as 1M")
    return size


def parse_duration(text: str, name: str) -> float:
    """Return the seconds that TEXT means: `90`, `90s`, `10m`, `1.5 h`; NAME is what the error calls it.

    Raises:
        UsageError: TEXT is not a time above zero.
    """
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _SECONDS[match[2].lower()] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"{name} is {text!r}, which is not a time: give seconds, or a number with s, m or h: 10m")
    return seconds


def parse_flag(text: str, name: str) -> bool:
    """Return whether TEXT means yes: `1`, `true`, `yes`, `on`, or their contraries; NAME is what the error calls it.

    Raises:
        UsageError: TEXT means neither.
    """
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise UsageError(f"{name} is {text!r}: set it to 1 or 0")
