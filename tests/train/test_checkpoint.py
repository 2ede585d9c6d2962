"""Checkpoints in a bucket: what another machine gets of them, and that a sender which dies takes none away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from typer.testing import CliRunner  # noqa: E402

from codesearch.errors import UsageError  # noqa: E402
from revela_train import checkpoint  # noqa: E402
from revela_train.cli import app  # noqa: E402
from tests.fleet.standin import SECRET  # noqa: E402
from tests.train import families  # noqa: E402

Run = tuple[torch.nn.Module, torch.optim.Optimizer]


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return "s3://fleet/checkpoints"


def trained(steps: int) -> Run:
    """Return a model and its optimiser after STEPS steps, the same each time."""
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 64)
    optimiser = torch.optim.AdamW(model.parameters())
    for _ in range(steps):
        optimiser.zero_grad()
        model(torch.randn(8, 64)).square().sum().backward()
        optimiser.step()
    return model, optimiser


def weights(run: Run) -> list[torch.Tensor]:
    return [*run[0].state_dict().values(), *(one["exp_avg_sq"] for one in run[1].state_dict()["state"].values())]


def test_another_machine_goes_on_from_what_a_bucket_has(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setattr(checkpoint, "_PIECE", 10_000)
    assert not checkpoint.fetch(there, f"{bucket}/run"), "there is none yet"
    for step in (2, 4):
        checkpoint.save(here, step, *trained(step), {"seed": 0})
        checkpoint.send(here, f"{bucket}/run")
    pieces = checkpoint._pieces

    def dying(*said: object) -> Iterator[object]:
        yield from islice(pieces(*said), 2)
        raise OSError("the disk is gone")

    checkpoint.save(here, 6, *trained(6), {"seed": 0})
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_pieces", dying)
        with pytest.raises(RuntimeError, match="the disk is gone"):
            checkpoint.send(here, f"{bucket}/run")
    assert checkpoint.fetch(there, f"{bucket}/run")
    run = trained(0)
    said = checkpoint.load(there, *run)
    assert said is not None and said["step"] == 4, "what was sent in part does not count"
    for one, other in zip(weights(run), weights(trained(4)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not checkpoint.fetch(there, f"{bucket}/run"), "it has it already"
    checkpoint.send(here, f"{bucket}/run")
    assert checkpoint.fetch(there, f"{bucket}/run")


@pytest.mark.filterwarnings("ignore")  # what torch's exporter says of itself
def test_the_command_goes_on_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    code = tmp_path / "code"
    code.mkdir()
    for thing in ("basket", "price", "token", "session", "cache", "query"):
        text = f'def open_{thing}(store):\n    """Open the {thing} of a customer."""\n    return store.{thing}\n'
        (code / f"{thing}.py").write_text(text)
    retriever, lm = families.write(tmp_path / "bert", "bert"), families.write(tmp_path / "llama", "llama", lm=True)

    def run(work: str) -> str:
        command = ["finetune", str(code), "--backbone", str(retriever), "--lm", str(lm), "--lora", "0", "--steps", "2"]
        command += [
            "--checkpoints",
            f"{bucket}/command",
            "--work",
            str(tmp_path / work),
            "--out",
            str(tmp_path / "out"),
        ]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        return done.stderr

    assert "step 2/2" in (first := run("one"))
    shutil.rmtree(tmp_path / "one")
    shutil.rmtree(tmp_path / "out")
    again = run("two")
    assert f"going on from the checkpoint at {bucket}/command" in again and "step" not in again
    assert not [secret for secret in SECRET if secret in first + again]


def test_a_bucket_that_does_not_answer_is_not_one_without_a_checkpoint(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UsageError, match="can not be read") as refused:
        checkpoint.fetch(tmp_path, f"{bucket}/run")
    assert not [secret for secret in SECRET if secret in str(refused.value)]
