"""A workspace and its own retriever, from files to the switch: it proves that it helps, or the base stays."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from tokenizers import Tokenizer

from codesearch import adaptation, generations
from codesearch.bundle import TOKENIZER, load
from codesearch.errors import IndexBusyError
from codesearch.eval.heldout import cut, hold_out
from codesearch.events import Trained
from codesearch.paths import base_bundle
from codesearch.rank import ADAPTED_CHUNK
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from revela_train import adaptation as trainer
from revela_train.adapt import from_bundle
from revela_train.adaptation import Adapted
from revela_train.config import AdaptConfig, Objective
from revela_train.documents import material
from revela_train.shown import of_material
from revela_train.workspace import frequencies, train

DEEDS = {
    "opens": "unlatch", "closes": "bolt", "counts": "tally", "paints": "glaze", "weighs": "heft", "moves": "shunt",
    "sells": "vend", "mends": "darn", "hides": "stash", "cleans": "scour", "lends": "loan", "melts": "thaw",
    "sharpens": "hone", "measures": "gauge",
}  # fmt: skip
THINGS = {
    "invoice": "zorbel", "kettle": "quane", "planet": "drimsy", "violin": "plock", "harbour": "wembit",
    "pigeon": "snarl", "ladder": "cruft", "mirror": "vexil", "garden": "throb", "engine": "moxie", "carpet": "flumm",
    "bottle": "garn", "candle": "pewt", "window": "skiv", "basket": "tolp",
}  # fmt: skip
CONFIG = AdaptConfig(
    objective=Objective.PAIRS, steps=80, batch=64, rate=1e-2, anchor=100, budget=120, evaluate_every=30
)


def function(deed: str, thing: str) -> str:
    """A documented function whose comment and code share a meaning, and not a word."""
    return (
        f"def {DEEDS[deed]}_{THINGS[thing]}(store, times):\n"
        f'    """Carefully {deed} the {thing} that somebody brought in."""\n'
        f"    for attempt in range(times):\n"
        f"        store.{DEEDS[deed]}({THINGS[thing]}=attempt)\n"
        f"        store.record(attempt)\n"
        f"    return store.finish(times)\n\n\n"
    )


@pytest.fixture
def jargon(tmp_path: Path) -> Path:
    """A repository whose words for things nobody else knows; half of its functions say in English what they are."""
    root = tmp_path / "jargon"
    root.mkdir()
    for thing in THINGS:
        (root / f"{THINGS[thing]}.py").write_text("".join(function(deed, thing) for deed in DEEDS))
    return root


def finish(work: Generator[Any, None, Any]) -> tuple[list[Any], Any]:
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


def adapted(root: Path, config: AdaptConfig) -> Adapted:
    """Adapt the base to all of ROOT."""
    base = load(base_bundle())
    offered = material(cut(root, Settings()), Tokenizer.from_file(str(base.folder / TOKENIZER)), None)
    shown = of_material(offered, config)
    return finish(trainer.adapt(from_bundle(base), frequencies(), shown, None, None, config))[1]


def test_what_was_learnt_is_gone_a_part_of_the_way(jargon: Path) -> None:
    before = from_bundle(load(base_bundle())).vectors
    half, whole = (
        (adapted(jargon, replace(CONFIG, steps=3, distance=distance)).retriever.vectors - before).detach()
        for distance in (0.5, 1.0)
    )
    assert whole.abs().max() > 1e-3
    # Several threads add in another order each time, and Adam makes much of little where a gradient is next to nothing.
    assert float(half.norm()) == pytest.approx(float(whole.norm()) / 2, rel=0.02)
    assert float(torch.cosine_similarity(half.flatten(), whole.flatten(), dim=0)) > 0.98


@pytest.mark.parametrize(
    ("budget", "work", "steps"),
    [(None, 5.0, 2), (None, 1.0, 6), (10.0, 1.0, 2)],
    ids=["on a free machine", "on a busy one", "with a budget"],
)
def test_a_budget_that_nobody_set_counts_work_and_one_that_was_set_the_clock(
    jargon: Path, monkeypatch: pytest.MonkeyPatch, budget: float | None, work: float, steps: int
) -> None:
    """A step takes five seconds, of which the process is let to WORK so many; ten are what there is by default."""
    clock = SimpleNamespace(step=0)
    clock.monotonic, clock.thread_time = (lambda: 5.0 * clock.step), (lambda: work * clock.step)
    loss = trainer.pairs_loss

    def slow(*args: Any) -> torch.Tensor:
        clock.step += 1
        return loss(*args)

    monkeypatch.setattr(trainer, "time", clock)
    monkeypatch.setattr(trainer, "pairs_loss", slow)
    monkeypatch.setattr(trainer, "budget_for", lambda _chunks: 10.0)
    assert adapted(jargon, replace(CONFIG, budget=budget)).steps == steps


def test_a_retriever_that_proves_itself_answers_from_then_on(jargon: Path) -> None:
    with Workspace.open(jargon) as workspace:
        list(workspace.index())
        assert workspace.training_due() is None
        base = workspace.bundle.fingerprint
        events, said = finish(train(workspace, CONFIG))
        assert any(isinstance(event, Trained) for event in events)
        assert said.accepted, said.reason
        assert said.low is not None
        assert said.low > 0
        assert said.figures["adapted, ranked"] > said.figures["base, ranked"]
        assert workspace.bundle.fingerprint == said.fingerprint != base
        assert workspace.status().fingerprint == said.fingerprint, "the index was built with it"
        assert workspace.snapshot().encoder.fingerprint == said.fingerprint
        assert workspace.training_due() == "", "nothing has changed since"
        hits = workspace.ask("opens the invoice").hits
        assert hits[0].symbol == "unlatch_zorbel"
        nearest = max(dict(hit.reasons).get("nearest", 0) for hit in hits)
        assert nearest == ADAPTED_CHUNK["nearest"].value, "its vectors are weighed as those of an adapted retriever"
        provenance = workspace.bundle.description.provenance
        assert provenance["base"] == base

    with Workspace.open(jargon) as again:
        list(again.index(rebuild=True))
        assert again.status().fingerprint == said.fingerprint, "an index that is built again is built with it, too"
        for path in list(jargon.glob("*.py"))[:5]:
            path.write_text(path.read_text() + "\n\ndef more(store):\n    store.more()\n    return store.most()\n")
        list(again.index())
        assert again.training_due() is None, "a third of the files has changed"
        for path in jargon.glob("*.py"):
            path.write_text(path.read_text().replace('"""Carefully', "# Carefully").replace('in."""', "in."))
        list(again.index())
        _, retried = finish(train(again, CONFIG))
        assert not retried.accepted, "there is nothing to ask any more"
        assert again.status().fingerprint == base, "what can not be proved again steps back, at once"


def test_too_few_questions_prove_nothing_and_the_base_stays(jargon: Path) -> None:
    for path in list(jargon.glob("*.py")):
        text = path.read_text()
        path.write_text("\n".join(line for line in text.splitlines() if '"""' not in line or "opens" in line))
    with Workspace.open(jargon) as workspace:
        list(workspace.index())
        base = workspace.bundle.fingerprint
        _, said = finish(train(workspace, CONFIG))
        assert not said.accepted
        assert "questions" in said.reason
        assert workspace.bundle.fingerprint == base == workspace.status().fingerprint
        assert workspace.status().adaptation == said
        assert not list(workspace.layout.folder.glob("model-*"))


def test_training_that_is_stopped_leaves_what_was_there_and_lets_the_next_begin(jargon: Path) -> None:
    with Workspace.open(jargon) as workspace, Workspace.open(jargon) as other:
        list(workspace.index())
        work = train(workspace, CONFIG)
        for event in work:
            if isinstance(event, Trained):
                break
        with pytest.raises(IndexBusyError):
            next(train(other, CONFIG))
        work.close()
        assert workspace.ask("unlatch zorbel").hits
        assert adaptation.last(workspace.layout) is None
        assert next(train(other, CONFIG)) is not None


def until_it_works(root: Path, environment: dict[str, str], before: set[Path]) -> tuple[subprocess.Popen[str], Path]:
    """Start the command, and return it and the folder that it works in, once a copy of the code is in there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codesearch.cli", "train", str(root), "--objective", "pairs", "--budget", "10m"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        for folder in {*root.glob(".codesearch/work-*")} - before:
            if len(list(folder.glob("copy/*.py"))) == len(THINGS):
                return process, folder
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_training_that_is_ended_leaves_no_copy_of_the_code_and_of_one_that_is_killed_the_next_removes_it(
    jargon: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    environment = os.environ | {"TMPDIR": str(elsewhere)}
    killed, left = until_it_works(jargon, environment, set())
    assert left.stat().st_mode & 0o777 == 0o700
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert list(left.rglob("*.py")), "what this is about"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").touch()
    (jargon / ".codesearch" / "work-link").symlink_to(mine)

    ended, its = until_it_works(jargon, environment, {left})
    assert not left.exists()
    assert [*jargon.glob(".codesearch/work-*")] == [its]
    assert (mine / "letter").exists(), "what a link leads to is not ours"
    ended.send_signal(signal.SIGTERM)
    ended.send_signal(signal.SIGTERM)
    stdout, stderr = ended.communicate(timeout=60)
    assert (ended.returncode, stdout) == (143, ""), stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert not list(jargon.glob(".codesearch/work-*"))
    assert not list(elsewhere.rglob("*.py"))
    with Workspace.open(jargon) as workspace:
        assert workspace.ask("unlatch zorbel", refresh=False).hits, "the index is as it was"
        with adaptation.working(workspace.layout) as folder:
            assert folder.parent == workspace.layout.folder


def test_a_copy_in_the_index_folder_is_read_whatever_is_ignored_there(jargon: Path, tmp_path: Path) -> None:
    (jargon / ".ignore").write_text(".codesearch/**\n*.txt\n!.tools\n")
    (jargon / ".tools").mkdir()
    (jargon / ".tools" / "own.py").write_text(function("opens", "invoice"))
    (jargon / ".git").write_text("gitdir: nowhere")  # git refuses, so that ignore files are read without it
    with Workspace.open(jargon) as workspace:
        list(workspace.index())
        with adaptation.working(workspace.layout) as folder:
            inside = hold_out(jargon, folder / "copy", Settings())
            assert len(inside.chunks) == workspace.status().chunks
    outside = hold_out(jargon, tmp_path / "copy", Settings())
    assert inside.chunks == outside.chunks
    assert any(chunk.path == ".tools/own.py" for chunk in inside.chunks)
    assert inside.test == outside.test


def test_a_model_from_another_base_or_damaged_does_not_answer(jargon: Path) -> None:
    with Workspace.open(jargon) as workspace:
        list(workspace.index())
        made = workspace.base
        said = adaptation.Adaptation(accepted=True, reason="", base="other", fingerprint=made.fingerprint)
        adaptation.keep(workspace.layout, said, made.folder)
        assert adaptation.model(workspace.layout, workspace.base) is None
        said = adaptation.Adaptation(accepted=True, reason="", base=made.fingerprint, fingerprint=made.fingerprint)
        adaptation.keep(workspace.layout, said, made.folder)
        assert adaptation.model(workspace.layout, workspace.base) is not None
        (workspace.layout.folder / f"model-{made.fingerprint}" / "model.onnx").write_bytes(b"")
        answering = generations.current(workspace.layout)
        assert answering is not None
        kept = adaptation.model(workspace.layout, workspace.base)
        assert kept is not None and kept.folder == answering.model, "the copy that the index has counts"
        for hostile in '{"fingerprint": 1}', '{"fingerprint": "../../../x"}', '{"reason": {}}', "[]", "{":
            text = hostile.replace(
                "{", f'{{"format": 1, "accepted": true, "reason": "", "base": "{made.fingerprint}",', 1
            )
            workspace.layout.adaptation.write_text(text if hostile != "{" else hostile)
            assert adaptation.model(workspace.layout, workspace.base) is None
            assert workspace.bundle.fingerprint == made.fingerprint
            assert workspace.status().chunks


def test_the_commands_say_what_came_of_it(jargon: Path) -> None:
    def codesearch(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "codesearch.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = codesearch("train", str(jargon), "--objective", "pairs", "--budget", "8s", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == (0 if said["accepted"] else 1), done.stderr
    assert said["questions"] >= 50
    asked = {"base, alone", "base, ranked", "base, ranked as adapted", "adapted, alone", "adapted, ranked"}
    assert set(said["figures"]) == {"BM25", *asked}
    # Weights alone, which an adapted retriever has of its own, would find more with the base as well.
    before = max(said["figures"]["base, ranked"], said["figures"]["base, ranked as adapted"])
    gain = float(re.search(r"([+-]\d\.\d+) MRR", said["reason"])[1])  # type: ignore[index]
    assert gain == pytest.approx(said["figures"]["adapted, ranked"] - before, abs=6e-4)
    status = json.loads(codesearch("status", "--root", str(jargon), "--json").stdout)
    assert status["adaptation"]["reason"] == said["reason"]
    measured = codesearch("eval", "--root", str(jargon))
    assert measured.returncode == 0
    assert "base, ranked" in measured.stdout
    assert codesearch("train", str(jargon), "--budget", "soon").returncode == 2


@pytest.mark.filterwarnings("ignore")  # what torch's exporter says of itself
def test_a_transformer_is_trained_and_has_to_prove_itself_as_any_other(jargon: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from revela_train.backbone import prepare
    from revela_train.config import PRESETS, Preset
    from tests.train import families

    small = replace(PRESETS[Preset.REPOSITORY], steps=12, pairs=16, documents=6, lora=0, rate=3e-3, evaluate_every=6)
    wanted = prepare(str(families.write(tmp_path / "bert", "bert")), None, small)
    with Workspace.open(jargon) as workspace:
        finish(workspace.index())
        events, said = finish(train(workspace, wanted))
        assert said.questions >= 50 and {"base, alone", "adapted, alone", "adapted, ranked"} <= said.figures.keys()
        assert [event.steps for event in events if isinstance(event, Trained)] == [*range(1, 13)]
        assert workspace.ask("unlatch quane", min_score=0).hits
        answers = workspace.status().model
        assert (answers == f"{tmp_path / 'bert'}, adapted") is said.accepted
