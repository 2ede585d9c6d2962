"""The first question about a large folder is answered from what is indexed so far, and the rest goes on."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from codesearch.workspace import Workspace
from tests.cli.conftest import Command

FUNCTION = '''

def {verb}_{noun}_{n}(value, other):
    """Do with the {noun} what is called {verb}, for the {n}th time."""
    if value > {n}:
        return other * value
    return value - other
'''


def large(root: Path) -> Path:
    """Write some thousand functions, which take longer than a first question waits."""
    for n, verb in enumerate(f"v{a}{b}" for a in "abcdefghijkl" for b in "mnopqrstuv"):
        body = "".join(FUNCTION.format(verb=verb, noun=noun, n=n) for noun in (f"n{i}" for i in range(300)))
        (root / f"{verb}.py").write_text(f'"""About {verb}."""{body}')
    return root


def test_the_first_question_does_not_wait_for_the_whole_and_later_ones_know_more(
    tmp_path: Path, codesearch: Command
) -> None:
    root = large(tmp_path)
    started = time.monotonic()
    # As on a slow machine, or with more files: how long this takes is not for a test to know.
    first = codesearch("ask", "van_n3_1", "--json", "--min-score", "0", cwd=root, CODESEARCH_FIRST_WAIT="0.1")
    took = time.monotonic() - started
    said = json.loads(first.stdout)
    assert 0 < said["indexed"] < 1 and said["state"] == "files" and said["results"], first.stderr
    assert "goes on in the background" in first.stderr
    while True:
        later = json.loads(codesearch("ask", "van_n3_1", "--json", "--min-score", "0", cwd=root).stdout)
        assert later["indexed"] >= said["indexed"]
        said = later
        if later["state"] == "fresh":
            break
        assert time.monotonic() - started < 40 * took, "the rest is indexed in the background"
    assert said["indexed"] == 1
    assert said["results"][0]["symbol"] == "van_n3_1"


def test_what_was_being_indexed_when_it_was_killed_still_answers_and_is_gone_on_with(
    tmp_path: Path, codesearch: Command, script: str, surroundings: dict[str, str]
) -> None:
    root = large(tmp_path)
    process = subprocess.Popen([script, "index", "--no-train"], cwd=root, env=surroundings, stderr=subprocess.DEVNULL)
    with Workspace.open(root) as workspace:
        while not workspace.unfinished():
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
        answer = workspace.ask("vam_n3_0", refresh=False)
        assert answer.indexed == workspace.unfinished() < 1
        assert answer.hits[0].symbol == "vam_n3_0"
    done = codesearch("ask", "van_n3_1", "--json", "--wait", cwd=root)
    assert json.loads(done.stdout)["indexed"] == 1
    assert "goes on" not in done.stderr
