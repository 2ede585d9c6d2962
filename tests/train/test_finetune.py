"""Training a transformer: what is minimised, over how many processes, and that a killed run goes on as if unharmed."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from click.testing import Result  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from codesearch.bundle import load  # noqa: E402
from codesearch.encode import OnnxEncoder  # noqa: E402
from codesearch.errors import UsageError  # noqa: E402
from revela_train import checkpoint  # noqa: E402
from revela_train.backbone import Backbone, drawn, offered, opened  # noqa: E402
from revela_train.cli import app  # noqa: E402
from revela_train.config import PRESETS, FinetuneConfig, Objective, Preset, RevelaConfig  # noqa: E402
from revela_train.corpus import chunks_of  # noqa: E402
from revela_train.distributed import World  # noqa: E402
from revela_train.finetune import Finetuning  # noqa: E402
from revela_train.hub import find  # noqa: E402
from revela_train.revela import losses, similarities  # noqa: E402
from tests.train import families  # noqa: E402

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SMALL = FinetuneConfig(
    objective=Objective.BOTH,
    steps=6,
    documents=6,
    groups=2,
    pairs=4,
    longest=24,
    lm_longest=24,
    rate=1e-2,
    lm_rate=1e-2,
    warm_up=2,
    lora=0,
    bf16=False,
    revela=RevelaConfig(temperature=0.1),
    asked=True,
    checkpoint_every=2,
)
DEEDS = [("open", "file"), ("close", "socket"), ("read", "page"), ("write", "line"), ("parse", "header")]
FILES = {
    f"{thing}.py": "".join(
        f'def {deed}_{thing}(store, items):\n    """Let the {thing} {deed} its {noun}."""\n'
        f"    for value in items:\n        store.{deed}(value.{noun})\n    return store.{thing}(items)\n\n\n"
        for deed, noun in [
            ("open", "file"),
            ("close", "socket"),
            ("read", "page"),
            ("write", "line"),
            ("parse", "header"),
        ]
    )
    for thing in ["basket", "price", "token", "session", "cache", "query", "color", "text"]
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return families.write(folder / "retriever", "bert"), families.write(folder / "lm", "llama", lm=True)


def run_of(
    config: FinetuneConfig,
    repository: Path,
    checkpoints: tuple[Path, Path],
    us: World | None = None,
    *,
    embedded: bool = False,
) -> Finetuning:
    us = us or World()
    reader = None if embedded else find(str(checkpoints[1]))
    retriever, lm = opened(Backbone(find(str(checkpoints[0])), reader, config), us.device)
    chunks = [one for its in chunks_of(repository) for one in its]
    shown = drawn([offered(chunks)], lm, config)
    return Finetuning(retriever, lm, shown.groups, shown.pairs, config, us)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_a_run_that_was_killed_goes_on_with_the_same_losses(
    repository: Path, checkpoints: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """On the same machine, or on another that has the checkpoint from a store.

    To the last bit on a processor; a GPU adds up in whatever order its threads come.
    """
    config, us = replace(SMALL, lora=4, lora_alpha=8, lora_dropout=0.2), World(device=torch.device(device))
    whole = run_of(config, repository, checkpoints, us)
    assert [stepped.step for stepped in whole.run()] == [1, 2, 3, 4, 5, 6]
    killed = run_of(config, repository, checkpoints, us)
    for stepped in killed.run(tmp_path / "work"):
        if stepped.step == 5:  # one step after the second checkpoint
            break
    monkeypatch.setattr(checkpoint, "_PIECE", 10_000)
    store = str(tmp_path / "store")
    assert not checkpoint.fetch(tmp_path / "elsewhere", store)
    with monkeypatch.context() as silent:

        def refused(_uri: str) -> None:
            raise ValueError("error sending request: connection refused")

        silent.setattr("codesearch.store.connect", refused)
        with pytest.raises(UsageError, match="can not be read"):
            checkpoint.fetch(tmp_path / "elsewhere", store)
    for _ in range(2):
        checkpoint.send(tmp_path / "work", store)
    assert not checkpoint.fetch(tmp_path / "work", store), "it has it already"
    assert checkpoint.fetch(tmp_path / "elsewhere", store)
    for file in (tmp_path / "elsewhere").glob("*.safetensors"):
        assert file.read_bytes() == (tmp_path / "work" / file.name).read_bytes()
    resumed = run_of(config, repository, checkpoints, us)
    assert [stepped.step for stepped in resumed.run(tmp_path / "elsewhere")] == [5, 6]
    texts = ["open the basket", "a token"]
    off = 0.0 if device == "cpu" else 1e-3
    for one, other in (
        (resumed.history, whole.history),
        (resumed.shares, whole.shares),
        (resumed.retriever.encode(texts, "query"), whole.retriever.encode(texts, "query")),
    ):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=off, atol=off)
    with pytest.raises(UsageError, match="another configuration"):
        next(run_of(replace(config, seed=1), repository, checkpoints).run(tmp_path / "work"))


def test_both_losses_fall_and_revela_has_its_share(repository: Path, checkpoints: tuple[Path, Path]) -> None:
    run = run_of(replace(SMALL, steps=16, groups=1, pairs=8, share=0.4), repository, checkpoints)
    list(run.run())
    loss, contrast = (np.array(column, np.float64) for column in zip(*run.history, strict=True))
    assert loss[-4:].mean() < loss[:4].mean() - 0.1
    assert contrast[-4:].mean() < contrast[:4].mean() - 0.1
    assert run.shares[0] == pytest.approx(0.4) and min(run.shares) > 0


def test_recomputed_states_change_no_loss_and_bfloat16_little(repository: Path, checkpoints: tuple[Path, Path]) -> None:
    config = replace(SMALL, steps=2, lora=4)
    plain = run_of(config, repository, checkpoints)
    again = run_of(replace(config, recompute=True), repository, checkpoints)
    half = run_of(replace(config, bf16=True), repository, checkpoints)
    computed = [0, 0, 0]
    for number, run in enumerate((plain, again, half)):

        def count(*_: object, number: int = number) -> None:
            computed[number] += 1

        inside = next(part for name, part in run.retriever.model.named_modules() if name.endswith("lora_A.default"))
        inside.register_forward_hook(count)
        list(run.run())
    assert computed[1] == 2 * computed[0] == 2 * computed[2] > 0
    np.testing.assert_allclose(np.array(again.history), np.array(plain.history), rtol=1e-4)
    np.testing.assert_allclose(np.array(half.history[0]), np.array(plain.history[0]), rtol=0.05)
    assert half.history != plain.history, "it did multiply in bfloat16"


def test_the_embedded_lm_teaches_in_bfloat16_as_in_float32(repository: Path, checkpoints: tuple[Path, Path]) -> None:
    config = replace(SMALL, steps=2, lora=4, rate=1e-4, lm_rate=1e-4)
    exact, half = (run_of(replace(config, bf16=on), repository, checkpoints, embedded=True) for on in (False, True))
    for run in exact, half:
        list(run.run())
    np.testing.assert_allclose(np.array(half.history), np.array(exact.history), rtol=0.05)
    assert half.history != exact.history, "it did multiply in bfloat16"


@GPU
@pytest.mark.filterwarnings("ignore")  # of torch about its GPUs
@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_gpu_learns_what_the_processor_learns(
    repository: Path, checkpoints: tuple[Path, Path], bf16: bool, embedded: bool
) -> None:
    config = replace(SMALL, steps=3, rate=1e-4, lm_rate=1e-4, bf16=bf16)
    found = []
    for device in "cpu", "cuda":
        run = run_of(config, repository, checkpoints, World(device=torch.device(device)), embedded=embedded)
        for part in run.retriever.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0  # what falls out is drawn by the device
        list(run.run())
        found.append(np.array(run.history))
    np.testing.assert_allclose(*found, rtol=0.02 if bf16 else 1e-4)


@pytest.mark.filterwarnings("ignore")  # what torch's exporter says of itself
def test_the_command_trains_on_folders_goes_on_and_exports(
    repository: Path, checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")

    def run(*more: str, out: str = "out") -> Result:
        command = ["finetune", str(repository), str(repository), "--backbone", str(checkpoints[0])]
        command += ["--lm", str(checkpoints[1]), "--lora", "0", "--steps", "2"]
        places = ["--out", str(tmp_path / out), "--work", str(tmp_path / f"{out}.work")]
        return CliRunner().invoke(app, [*command, *places, *more])

    first = run()
    assert first.exit_code == 0, first.output
    assert "step 2/2" in first.stderr
    made = load(tmp_path / "out")
    assert made.description.provenance["repositories"] == [repository.name] * 2
    assert made.description.provenance["development_mrr"] > 0
    assert OnnxEncoder(made).encode(["open the basket"], "query").shape == (1, 32)
    shutil.rmtree(tmp_path / "out")
    again = run()
    assert again.exit_code == 0 and "step" not in again.stderr, "nothing was left to train"
    assert load(tmp_path / "out").fingerprint == made.fingerprint
    with pytest.raises(UsageError, match="another configuration"):
        raise run("--seed", "1").exception or AssertionError
    with pytest.raises(UsageError, match="there is no tpu here"):
        raise run("--device", "tpu").exception or AssertionError
    untrained = run("--steps", "0", out="untrained")
    assert untrained.exit_code == 0 and "step" not in untrained.stderr
    text = ["def open_basket(store):\n    return store.basket"]
    retriever, _ = opened(Backbone(find(str(checkpoints[0])), None, SMALL), torch.device("cpu"))
    found = OnnxEncoder(load(tmp_path / "untrained")).encode(text, "passage")
    np.testing.assert_allclose(found, retriever.encode(text, "passage"), atol=0.02)


def test_the_papers_objective_is_the_papers_loss_and_no_more(repository: Path, checkpoints: tuple[Path, Path]) -> None:
    config = replace(SMALL, objective=Objective.REVELA, revela=RevelaConfig(dual=True, v_norm=True), steps=1)
    run = run_of(config, repository, checkpoints)
    assert run.pairs is None and run.groups is not None and run.lm is not None
    expected = []
    for number in range(config.groups):
        group = run.groups(number)
        assert group.queries is None and group.counted is None
        vectors = [run.retriever.vectors(group.documents, role, longest=24) for role in ("query", "passage")]
        expected.append(losses(similarities(*vectors), run.lm.lm, group.ids, group.mask, config.revela).total.item())
    no_dropout = run_of(config, repository, checkpoints)
    for part in no_dropout.retriever.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    (stepped,) = no_dropout.run()
    assert stepped.contrast is None
    assert stepped.loss == pytest.approx(np.mean(expected), rel=1e-4)


WORKER = """
import json, sys
from pathlib import Path
import torch
from revela_train.distributed import world
from tests.train.test_finetune import without_dropout

torch.set_num_threads(1)
with world("cpu") as us:
    told = without_dropout(Path(sys.argv[1]), (Path(sys.argv[2]), Path(sys.argv[3])), us)
    Path(sys.argv[4], f"{us.rank}.json").write_text(json.dumps([us.rank, us.size, *told]))
"""


def without_dropout(repository: Path, checkpoints: tuple[Path, Path], us: World) -> tuple[list[object], float]:
    """Three steps of process US; the losses, and the sum of all weights."""
    run = run_of(replace(SMALL, steps=3), repository, checkpoints, us)
    for part in run.retriever.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    list(run.run())
    return list(run.history), sum(one.detach().double().sum().item() for one in run.retriever.parameters())


def test_two_processes_learn_what_one_learns(repository: Path, checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    """Groups are shared out and stay apart; pairs are told from those of all; the mean gradient is the same."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launch, str(script), str(repository), *map(str, checkpoints), str(tmp_path)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    both = [json.loads(file.read_text()) for file in sorted(tmp_path.glob("*.json"))]
    assert [(rank, size) for rank, size, *_ in both] == [(0, 2), (1, 2)]
    history, total = without_dropout(repository, checkpoints, World())
    for *_, its_history, its_total in both:
        np.testing.assert_allclose(np.array(its_history), np.array(history), rtol=2e-4)
        assert its_total == pytest.approx(total, rel=1e-3)


def test_the_presets_are_shown_with_what_they_take() -> None:
    shown = CliRunner().invoke(app, ["presets"], env={"COLUMNS": "80"}).stdout
    rows = [line.replace("│", " ").split() for line in shown.splitlines()]
    assert "lora 16 256 256".split() in rows
    assert "paper-code Qwen2.5-0.5B Llama-3.2-1B one H200 38.9 GB 17.3 s 54 h 1,906".split() in rows


def test_the_presets_are_the_papers_and_ours() -> None:
    code, wikipedia, ours = (PRESETS[one] for one in (Preset.PAPER_CODE, Preset.PAPER_WIKIPEDIA, Preset.REPOSITORY))
    assert (code.documents, code.groups, code.rate, code.lora, code.lora_alpha) == (16, 32, 1e-4, 256, 64)
    assert (code.revela.temperature, code.revela.v_norm, code.revela.first_half) == (1e-4, False, False)
    assert (wikipedia.revela.v_norm, wikipedia.revela.first_half, wikipedia.steps) == (True, True, 10_000)
    assert code.objective is wikipedia.objective is Objective.REVELA and ours.objective is Objective.BOTH
