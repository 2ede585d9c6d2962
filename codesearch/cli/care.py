"""Looking after codesearch: `config`, `types`, `list`, `clear`, `doctor`.

`doctor` tries each part as it is used (the model encodes, each grammar parses, a store is written and read) and says
for what does not work what to do about it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codesearch import config, generations, registry
from codesearch.cli.visible import visible
from codesearch.errors import CodesearchError
from codesearch.paths import Layout
from codesearch.types import Stale

_ROOM: Final = 500_000_000
"""Bytes of disk below which an index may not fit."""


def config_lines(given: config.Config, *, origin: bool) -> Iterator[str]:
    """Yield each setting as a line of TOML, with what it is for, or with where it comes from."""
    for name, option in config.OPTIONS.items():
        value = given[name]
        line = f"{name} = {json.dumps(value if isinstance(value, (bool, int, float)) else str(value))}"
        yield visible(f"{line:32} # {given.origins[name] if origin else option.help}")


def config_json(given: config.Config) -> str:
    """Return the same as one object."""
    said = {name: {"value": given[name], "origin": given.origins[name]} for name in config.OPTIONS}
    return json.dumps(said, default=str, indent=1)


def indexes() -> list[dict[str, Any]]:
    """Return what is known of each folder that has an index, gone or not."""
    found = []
    for root, folder in registry.known():
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) if folder.is_dir() else 0
        files = chunks = 0
        indexed = generations.ours(Layout(folder)) and Layout(folder).current.exists()
        state = "gone" if not root.is_dir() else "indexed" if indexed else "no index"
        if state == "indexed":
            try:
                files, chunks = _totals(Layout(folder))
            except CodesearchError:
                state = "damaged"
        found.append(
            {"root": str(root), "index": str(folder), "state": state, "files": files, "chunks": chunks, "bytes": size}
        )
    return found


def _totals(layout: Layout) -> tuple[int, int]:
    from codesearch.manifest import Manifest

    generation = generations.current(layout)
    if generation is None:
        return 0, 0
    with Manifest(generation.manifest) as manifest:
        totals = manifest.totals()
    return totals.files, totals.chunks


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check."""

    about: str
    said: str
    wrong: bool = False
    advice: str = ""


def checks(root: Path, index_dir: Path | None, given: config.Config) -> Iterator[Finding]:
    """Yield what is found, in the order in which a question needs it."""
    yield Finding("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    for about, check in (
        ("model", _model),
        ("grammars", _grammars),
        ("store", _store),
        ("git", _git),
        ("training", _training),
        ("folder", lambda: _folder(root, index_dir, given)),
        ("index", lambda: _index(root, index_dir, given)),
        ("server", lambda: _server(root, index_dir)),
        ("terminal", _terminal),
    ):
        yield _tried(about, check)


def _tried(about: str, check: Callable[[], Finding | str]) -> Finding:
    try:
        found = check()
    except CodesearchError as error:
        return Finding(about, str(error), wrong=True)
    except Exception as error:  # whatever a part does when it is broken is what is looked for here
        advice = "Install codesearch anew, into a fresh virtual environment."
        return Finding(about, f"{type(error).__name__}: {error}".splitlines()[0], wrong=True, advice=advice)
    return found if isinstance(found, Finding) else Finding(about, found)


def _model() -> str:
    import numpy as np

    from codesearch import bundle
    from codesearch.encode import OnnxEncoder
    from codesearch.paths import base_bundle

    base = bundle.load(base_bundle())
    query = OnnxEncoder(base).encode(["retry with a growing delay", "parse a date"], "query")
    passage = OnnxEncoder(base).encode(["def retry(call, delay): sleep(delay)"], "passage")[0]
    near, far = query @ passage
    if not (np.isfinite(query).all() and near > far):
        raise CodesearchError("the model does not tell like from unlike: install codesearch anew.")
    return f"{base.description.name}, {base.fingerprint}"


def _grammars() -> Finding | str:
    from codesearch.languages import LANGUAGES, grammar

    broken = []
    for name in LANGUAGES:
        try:
            grammar(name)
        except Exception as error:
            broken.append(f"{name} ({type(error).__name__})")
    if broken:
        advice = "Install codesearch anew; until then files in these languages are cut into windows of lines."
        return Finding("grammars", f"{', '.join(broken)} can not be loaded", wrong=True, advice=advice)
    return f"{len(LANGUAGES)} languages"


def _store() -> str:
    from codesearch.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="codesearch-doctor-") as folder:
        Path(folder, "answer.py").write_text("def answer():\n    '''Say what six times seven is.'''\n    return 42\n")
        with Workspace.open(Path(folder)) as workspace:
            for _ in workspace.index(workers=0):
                pass
            hits = workspace.ask("what is six times seven", min_score=0, refresh=False).hits
    if not hits or hits[0].symbol != "answer":
        raise CodesearchError("an index of one function does not find it: please report this.")
    return "written, read and searched"


def _git() -> Finding | str:
    if shutil.which("git") is None:
        return Finding("git", "not found: ignore rules still count, commit messages teach nothing")
    return "found"


def _training() -> str:
    from codesearch.training import missing

    if absent := missing():
        return f"not installed ({', '.join(absent)} missing): searching needs none of it; the extra is called `train`"
    return "installed"


def _folder(root: Path, index_dir: Path | None, given: config.Config) -> Finding | str:
    from codesearch.workspace import Workspace

    with Workspace.open(root, given.settings(index_dir)) as workspace:
        folder = workspace.layout.folder
    parent = next(one for one in (folder, *folder.parents) if one.is_dir())
    if not os.access(parent, os.W_OK):
        advice = "Give yourself permission, or name a folder with --index-dir or CODESEARCH_HOME."
        return Finding("folder", f"{parent} can not be written", wrong=True, advice=advice)
    if folder.is_dir() and os.name == "posix" and folder.stat().st_mode & 0o077:
        return Finding("folder", f"{folder} can be read by others", wrong=True, advice=f"chmod 700 {folder}")
    if (free := shutil.disk_usage(parent).free) < _ROOM:
        return Finding("folder", f"only {free / 1e6:,.0f} MB left", wrong=True, advice="Free some disk space.")
    return str(folder)


def _index(root: Path, index_dir: Path | None, given: config.Config) -> Finding | str:
    from codesearch.workspace import Workspace

    with Workspace.open(root, given.settings(index_dir)) as workspace:
        said = workspace.status()
    if said.state is Stale.FRESH:
        return f"fresh: {said.files:,} files, {said.chunks:,} chunks"
    if said.state is Stale.MISSING:
        return "there is none yet; the first question builds it"
    if said.state is Stale.DAMAGED:
        advice = "The next question builds it again, and so does `codesearch index`; your files are not touched."
        return Finding("index", "damaged: something that was written is gone or was changed", wrong=True, advice=advice)
    return f"out of date ({said.state}); the next question brings it up to date"


def _server(root: Path, index_dir: Path | None) -> Finding | str:
    from codesearch.cli.serving import folder
    from codesearch.server import protocol
    from codesearch.server.client import control

    where = folder(root.resolve(), str(index_dir.absolute()) if index_dir else "").place
    if where.exists() and not where.trusted():
        advice = (
            "Remove it, or make it yours alone (chmod 700); until then every question is answered in its own process."
        )
        return Finding("server", f"{where.folder} is not a folder of this user alone", wrong=True, advice=advice)
    said = control(where, protocol.STATUS)
    if said is None:
        return "none runs for this folder; the next question starts one, unless --no-server or CODESEARCH_NO_SERVER"
    if said["code"] != protocol.fingerprint():
        return "one of another version runs; the next question replaces it"
    return f"process {said['pid']}, {said['answered']:,} answered"


def _terminal() -> str:
    stream = sys.stdout
    kind = f"{os.environ.get('TERM', 'no TERM')}, {stream.encoding}" if stream.isatty() else "a pipe or a file"
    return f"{kind}, {shutil.get_terminal_size().columns} columns"
