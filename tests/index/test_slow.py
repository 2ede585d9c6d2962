"""Indexing with a model that takes its time: what is done is written and said by the clock, and never encoded twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from codesearch import bundle
from codesearch.bundle import Bundle
from codesearch.encode import OnnxEncoder
from codesearch.events import Planned, Progress
from codesearch.index import update
from codesearch.paths import Layout, base_bundle, index_folder
from codesearch.settings import Settings
from codesearch.types import Role
from codesearch.workspace import Workspace

from .conftest import FILES, age, contents, finish, index, write


@pytest.fixture
def transformer(tmp_path: Path) -> Bundle:
    """What ships, under the name of a transformer: each text runs by itself, and nothing is known of its speed."""
    base = bundle.load(base_bundle())
    folder = Path(shutil.copytree(base.folder, tmp_path / "transformer"))
    (folder / "bundle.json").unlink()
    return bundle.save(folder, replace(base.description, name="slow", architecture="bert"))


class Slow(OnnxEncoder):
    """Takes a second a text, by a clock of its own."""

    now = 0.0

    def encode(self, texts: Sequence[str], role: Role, *, normalised: bool = False) -> NDArray[np.float32]:
        self.now += len(texts)
        return super().encode(texts, role, normalised=normalised)


def test_work_is_written_every_few_seconds_and_the_time_left_is_said(
    root: Path, transformer: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write(root, f"many/m{number:02}.py", f"def function_{number}(x):\n    return x + {number}\n")
    slow = Slow(transformer)
    monkeypatch.setattr("codesearch.index.time", SimpleNamespace(monotonic=lambda: slow.now, time_ns=time.time_ns))
    work = update(root, Settings(), Layout(index_folder(root)), transformer, encoder=slow, workers=0)
    told: list[tuple[float, Progress]] = []
    planned = 0
    for event in work:
        if isinstance(event, Planned):
            planned = event.bytes
        if isinstance(event, Progress):
            told.append((slow.now, event))
    largest = 2 * max(len(text.split("\n\n")) for text in FILES.values())  # seconds of one file, at two texts a chunk
    waits = np.diff([0.0, *(at for at, _ in told)])
    assert len(told) > 5 and waits.max() <= 5 + largest
    for at, event in told:
        assert event.left == pytest.approx(at * (planned - event.bytes) / event.bytes)
    assert told[0][1].wait.endswith(" left") and told[-1][1].wait == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(9, ""), (11, ", 11 s left"), (150, ", 2 min left"), (3600, ", 1 h 0 min left"), (5000, ", 1 h 23 min left")],
)
def test_a_wait_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert Progress(0, 0, 0, 0, left=seconds).wait == said


CHILD = """
import json, sys, time
from pathlib import Path
from codesearch import bundle, encode, index
from codesearch.events import Done, Planned, Progress
from codesearch.workspace import Workspace

root, model, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
index._AT_RISK = 0.0  # every file is written by itself
run = encode.OnnxEncoder._run
reports = 0

def slowly(*args):
    if reports == most:
        print("{}", flush=True)
        time.sleep(600)
    return run(*args)

encode.OnnxEncoder._run = slowly
with Workspace.open(root, model=bundle.load(model)) as workspace:
    for event in workspace.index(workers=0):
        if isinstance(event, Planned):
            print(json.dumps({"planned": event.files}), flush=True)
        if isinstance(event, Progress):
            reports += 1
            print(json.dumps({"files": event.files, "encoded": event.encoded}), flush=True)
        if isinstance(event, Done):
            print(json.dumps({"encoded": event.encoded, "reused": event.reused}), flush=True)
"""


def test_what_a_killed_run_has_encoded_is_not_encoded_again(root: Path, transformer: Bundle, tmp_path: Path) -> None:
    """It is killed while it encodes the fourth file; then three are there, and only the others are encoded."""
    age(root)
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, str(script), str(root), str(transformer.folder)]
    with subprocess.Popen([*command, "3"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first, *reports, stuck = (json.loads(child.stdout.readline()) for _ in range(5))
        child.kill()
    assert stuck == {} and 0 < reports[-1]["files"] < first["planned"]
    said = subprocess.run([*command, "99"], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    second, *_, done = map(json.loads, said)
    assert second["planned"] == first["planned"] - reports[-1]["files"]
    with Workspace.open(root, Settings(index_dir=tmp_path / "fresh"), model=transformer) as whole:
        assert done == {"encoded": index(whole).encoded - reports[-1]["encoded"], "reused": 0}
        expected = contents(whole)
    with Workspace.open(root, model=transformer) as workspace:
        assert contents(workspace) == expected


def test_only_what_changed_is_embedded_again(root: Path, transformer: Bundle) -> None:
    with Workspace.open(root, model=transformer) as workspace:
        chunks = index(workspace).encoded
        file = root / "shop/retry.py"
        file.write_text("import os\n" + file.read_text().replace("return y", "return not y"))
        done = finish(list(workspace.index()))
        assert (done.encoded, done.reused) == (2, 2) and chunks > 4
        (root / "web/app.ts").touch()
        assert finish(list(workspace.index())).encoded == 0
