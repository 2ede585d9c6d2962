"""Where work on an index can be killed: functions of what is done, as module:name; those of `os` are steps on disk."""

from __future__ import annotations

from typing import Final

STEPS: Final = ("os:mkdir", "os:rename", "os:replace", "os:unlink", "os:rmdir", "os:fsync")
"""Beneath pathlib, shutil and tempfile."""
_COMMITS: Final = tuple(f"codesearch.manifest:Manifest.{name}" for name in ("commit", "record", "_set", "_add"))
_WRITES: Final = ("codesearch.store:Store.append", "codesearch.store:Store.remove", "codesearch.store:Store.reset")
_TIDIES: Final = ("codesearch.store:Store.compact", "codesearch.store:Store.clean")
_BEGINS: Final = ("codesearch.generations:prepare", "codesearch.generations:create", "shutil:copyfile")
_ENDS: Final = ("codesearch.store:Store.index", "codesearch.generations:switch", "codesearch.generations:sweep")

POINTS: Final[dict[str, tuple[str, ...]]] = {
    "index": (*STEPS, *_BEGINS, "codesearch.store:Store.create", *_WRITES, *_COMMITS, *_ENDS),
    "refresh": (*STEPS, *_WRITES, *_COMMITS),
    "share": (*_WRITES, *_COMMITS),
    "optimise": (*STEPS, *_WRITES, *_COMMITS, *_TIDIES),
    "swap": (*STEPS, *_BEGINS, *_WRITES, *_COMMITS, *_ENDS),
    "clear": STEPS,
    "adapt": (
        *STEPS,
        *_ENDS,
        "revela_train.workspace:hold_out",
        "revela_train.workspace:prove",
        "codesearch.adaptation:keep",
        "codesearch.adaptation:tidy",
        "shutil:copytree",
        "shutil:rmtree",
    ),
    "export": ("onnx:save", *(f"revela_train.export:{name}" for name in ("export", "save", "load"))),
}
"""What is done, and where in it there is a point to die at; `share` is a refresh whose files are cut by processes."""

DEEDS: Final = tuple(POINTS)
TRAINS: Final = frozenset({"adapt", "export"})
"""Deeds that need torch."""
ANY: Final = ""
"""Not a point, but a random moment."""
