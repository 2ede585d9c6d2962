"""The trainer, from sources to a bundle that search loads: what stays out, what is learnt, what a resumed run gives."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from codesearch.bundle import load  # noqa: E402
from codesearch.chunk import chunk  # noqa: E402
from codesearch.encode import OnnxEncoder  # noqa: E402
from codesearch.errors import BundleError  # noqa: E402
from revela_train import corpus, export, tokenizer  # noqa: E402
from revela_train.batches import PairSampler  # noqa: E402
from revela_train.config import PretrainConfig  # noqa: E402
from revela_train.loop import train  # noqa: E402
from revela_train.pretrain import development_questions, pretrain  # noqa: E402
from revela_train.retriever import StaticRetriever, TorchEncoder  # noqa: E402

THINGS = ("invoice", "kettle", "planet", "violin", "harbour", "pigeon", "ladder", "mirror", "garden", "engine")
DEEDS = {"open": "unlock", "close": "shut", "count": "tally", "paint": "colour", "weigh": "scale", "move": "shift"}
SMALL = PretrainConfig(
    pieces=600, dimensions=32, steps=60, batch=64, repositories_a_batch=2, rate=2e-2, checkpoint_every=20
)


def function(deed: str, thing: str, number: int) -> str:
    """A documented function whose comment and body share a meaning, not a word."""
    return (
        f"def run{number}({thing}, times):\n"
        f'    """Please {deed} the {thing} carefully number {number}."""\n'
        f"    for attempt in range(times):\n"
        f"        {DEEDS[deed]}_{thing}(attempt, {number})\n"
        f"        record_history(attempt, {thing}, {number})\n"
        f"    return finish_all(times, {thing})\n\n\n"
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Twenty-two repositories of such functions, listed as the trainer wants them."""
    folder, listed = tmp_path / "sources", []
    for r in range(22):
        root = folder / f"owner+repo{r}"
        root.mkdir(parents=True)
        for m, thing in enumerate(THINGS):
            text = "".join(function(deed, thing, 100 * r + 10 * m + d) for d, deed in enumerate(DEEDS))
            (root / f"{thing}.py").write_text(text)
        listed.append(
            {"name": f"repo{r}", "github": f"owner/repo{r}", "license": "MIT", "language": "python", "commit": "0" * 40}
        )
    (folder / "repositories.json").write_text(json.dumps(listed))
    return folder


def test_doc_comment_leaves_the_body() -> None:
    """A question must not be found by the words of itself."""
    (only,) = chunk("a/b.py", function("open", "kettle", 7))
    assert "Please open the kettle" in only.doc
    made = corpus.record(only)
    assert made.doc == "please open the kettle carefully number 7"
    assert "carefully" not in made.body.split()
    assert "unlock" in made.body.split()


def test_what_is_measured_stays_out(tmp_path: Path) -> None:
    """A held-out repository's functions are recognised wherever they were copied to, and its folder by its name."""
    text = function("paint", "harbour", 3)
    measured = tmp_path / "measured" / "anything"
    measured.mkdir(parents=True)
    (measured / "x.py").write_text(text)
    root = tmp_path / "source"
    for path, said in {
        "copied/y.py": text,
        "vendor_free/requests/api.py": function("open", "violin", 4),
        "own.py": function("weigh", "planet", 5),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(said)
    kept = corpus.records_of(root, frozenset(corpus.bodies_of(measured)), seed=0)
    assert [r.path for r in kept] == ["own py"]


def test_pretraining_from_sources_to_a_bundle_that_has_learnt(sources: Path, tmp_path: Path) -> None:
    """Comments find functions that share no telling word with them, in repositories that training never saw."""
    said: list[str] = []
    bundle = pretrain(sources, [], tmp_path / "work", tmp_path / "bundle", SMALL, said.append, "test")
    mrr = [float(line.split("MRR ")[1].split()[0]) for line in said if "MRR" in line]
    assert mrr[-1] > 0.5, said
    assert load(tmp_path / "bundle").fingerprint == bundle.fingerprint
    encoder = OnnxEncoder(bundle)
    question, *answers = encoder.encode(
        ["open the violin", "unlock violin attempt", "scale planet attempt", "tally mirror times"], "query"
    )
    assert np.argmax(np.array(answers) @ question) == 0


def test_a_killed_run_resumes_to_the_same_losses(sources: Path, tmp_path: Path) -> None:
    """Stopping after a checkpoint and starting again gives, step by step, what a run in one go gives."""
    from revela_train.pretrain import prepare

    made, pieces = prepare(sources, [], tmp_path / "work", SMALL, lambda _: None)

    def run(folder: Path, reports: int | None) -> list[float]:
        torch.manual_seed(0)
        retriever = StaticRetriever(made.get_vocab_size(), SMALL.dimensions)
        return [s.loss for s in islice(train(retriever, PairSampler(pieces, SMALL), SMALL, folder, 5), reports)]

    whole = run(tmp_path / "whole", None)
    run(tmp_path / "killed", 7)  # 35 steps: the checkpoint is of step 20
    rest = run(tmp_path / "killed", None)
    assert rest == whole[4:]
    with pytest.raises(ValueError, match="another configuration"):
        other = PretrainConfig(pieces=600, dimensions=32, steps=60, batch=32, repositories_a_batch=2)
        next(train(StaticRetriever(made.get_vocab_size(), 32), PairSampler(pieces, other), other, tmp_path / "killed"))


def test_exported_bundle_equals_the_trained_retriever_and_is_checked(tmp_path: Path) -> None:
    """Vectors agree for texts alone and padded; an edited or half bundle is refused by name."""
    texts = ["parse the http request header", "x", "", "retry with exponential back off " * 40]
    made = tokenizer.train([*texts * 10], 200)
    torch.manual_seed(1)
    retriever = StaticRetriever(made.get_vocab_size(), 16)
    retriever.log_weights.data.normal_()
    bundle = export.export(retriever, made, tmp_path / "b", name="t", texts=texts[:2], provenance={})
    got, expected = OnnxEncoder(bundle).encode(texts, "query"), TorchEncoder(retriever, made).encode(texts, "query")
    np.testing.assert_allclose(got, expected, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), [1, 1, 0, 1], atol=1e-3)
    tokens = bundle.folder / "tokenizer.json"
    tokens.write_text(tokens.read_text().replace("retry", "rerty"))
    with pytest.raises(BundleError, match="not the file"):
        load(bundle.folder)
    tokens.unlink()
    with pytest.raises(BundleError, match="no usable model"):
        load(bundle.folder)


def test_development_repositories_are_not_trained_on(sources: Path, tmp_path: Path) -> None:
    """No batch holds a chunk of a repository whose questions are asked."""
    from revela_train.pretrain import development_rows, prepare

    _, pieces = prepare(sources, [], tmp_path / "work", SMALL, lambda _: None)
    asked = set(development_questions(pieces)[2].tolist())
    assert asked
    sampler = PairSampler(pieces, SMALL, np.flatnonzero(~development_rows(pieces)))
    assert not asked & set(pieces.repository[np.concatenate([sampler(i).body for i in range(5)])].tolist())


def test_pretraining_does_without_transformers() -> None:
    """Its import takes seconds, and a static retriever needs nothing of it."""
    code = "import sys, revela_train.pretrain; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
