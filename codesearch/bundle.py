"""A Bundle: the model folder that training writes and search reads, and the only handoff between the two worlds.

    bundle.json      what the model is, the hash of each file, the fingerprint, where it came from
    model.onnx       input_ids, attention_mask (batch, length) → sentence_embedding (batch, dimensions), unit length
    tokenizer.json   of the `tokenizers` library

The files are data: ONNX and JSON, never a pickle. A bundle is loaded only if its files are those bundle.json names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from codesearch.errors import BundleError
from codesearch.regular import opened

BUNDLE_FORMAT: Final = 1
"""1. As above, with `normalise`, `max_tokens` and prefixes."""

DESCRIPTION: Final = "bundle.json"
MODEL: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What bundle.json says."""

    name: str
    architecture: str
    """`static`, or the model type of a transformer."""
    dimensions: int
    max_tokens: int
    """Pieces of a text that are read; the chunker keeps chunks below it, so that nothing is cut in silence."""
    normalise: Literal["bag", "none"]
    """`bag`: texts pass through `codesearch.text.bag` before the tokenizer."""
    adapted: bool = False
    """Trained on the repository that it searches; `rank` then weighs its vectors otherwise."""
    query_prefix: str = ""
    passage_prefix: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each other file of the folder that belongs to the bundle."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Base, objective, steps, seed, commit, figures: for people, not part of the fingerprint."""
    format: int = BUNDLE_FORMAT

    @property
    def static(self) -> bool:
        """Whether a piece has one vector wherever it stands; else a transformer reads the whole text."""
        return self.architecture == "static"

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would: a digest of all that makes them."""
        said = {k: v for k, v in asdict(self).items() if k not in ("name", "adapted", "provenance")}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model folder whose files were checked against its description."""

    folder: Path
    description: Description

    @property
    def fingerprint(self) -> str:
        """The description's fingerprint."""
        return self.description.fingerprint


_TYPES: Final[Mapping[str, type]] = {
    "name": str,
    "architecture": str,
    "dimensions": int,
    "max_tokens": int,
    "normalise": str,
    "adapted": bool,
    "query_prefix": str,
    "passage_prefix": str,
    "files": dict,
    "provenance": dict,
    "format": int,
}
_MOST: Final[Mapping[str, int]] = {"dimensions": 1 << 14, "max_tokens": 1 << 20}
"""What is more is no model: memory is taken by these numbers."""
_MAX_BYTES: Final = 1 << 20
"""Of bundle.json."""


def _described(said: dict[str, Any]) -> Description:
    """Return the description that bundle.json SAID, or raise ValueError with what makes no sense in it."""
    for name, kind in _TYPES.items():
        if name in said and type(said[name]) is not kind:
            raise ValueError(f"{name} is {said[name]!r:.40}, which is no {kind.__name__}")
    for name, most in _MOST.items():
        if not 1 <= said.get(name, 0) <= most:
            raise ValueError(f"{name} is {said.get(name)!r:.40}; it is to be from 1 to {most}")
    if said.get("normalise") not in ("bag", "none"):
        raise ValueError(f"normalise is {said.get('normalise')!r:.40}; it is to be bag or none")
    if not all(isinstance(digest, str) for digest in said.get("files", {}).values()):
        raise ValueError("files is to name the SHA-256 of each")
    return Description(**{name: said[name] for name in _TYPES if name in said})


def _sha256(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(folder: Path) -> Bundle:
    """Return the bundle in FOLDER, or raise BundleError with what is wrong and what to do."""
    remedy = "Reinstall codesearch, or name another model folder."
    path = folder / DESCRIPTION
    try:
        with opened(path) as file:
            said = json.loads(file.read(_MAX_BYTES).decode("utf-8"))
        if said.get("format") != BUNDLE_FORMAT:
            raise BundleError(
                f"{path} has bundle format {said.get('format')!r}; this codesearch reads {BUNDLE_FORMAT}. "
                "Upgrade codesearch, or train the model again."
            )
        recorded = said.pop("fingerprint", None)
        description = _described(said)
        if not {MODEL, TOKENIZER} <= description.files.keys():
            raise BundleError(f"{path} does not name {MODEL} and {TOKENIZER}. {remedy}")
        for name, digest in description.files.items():
            if Path(name).name != name:
                raise BundleError(f"{path} names a file outside its folder: {name!r}. {remedy}")
            if _sha256(folder / name) != digest:
                raise BundleError(f"{folder / name} is not the file that {DESCRIPTION} describes. {remedy}")
    except OSError as error:
        raise BundleError(f"no usable model in {folder}: {error.strerror or error}. {remedy}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} can not be read: {error}. {remedy}") from error
    if recorded != description.fingerprint:
        raise BundleError(f"{path} was edited: its fingerprint does not match. {remedy}")
    return Bundle(folder, description)


def save(folder: Path, description: Description) -> Bundle:
    """Describe the files already in FOLDER and write bundle.json last, so that a half-written folder is no bundle."""
    hashes = {p.name: _sha256(p) for p in sorted(folder.iterdir()) if p.is_file() and p.name != DESCRIPTION}
    said = asdict(description) | {"files": hashes}
    description = Description(**said)
    text = json.dumps(said | {"fingerprint": description.fingerprint}, indent=1, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    return Bundle(folder, description)
