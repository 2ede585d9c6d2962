"""`revela-train reference`: the published implementation's own numbers are met, and bad files are refused."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from typer.testing import CliRunner

from revela_train.cli import app
from revela_train.reference import differences

REFERENCES = sorted((Path(__file__).parent / "reference").glob("*.npz"))


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["reference", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_every_published_quantity_is_met(path: Path) -> None:
    found = differences(path)
    assert {d.quantity for d in found} >= {"loss_pass1", "loss_pass2", "logits_pass2", "grad_S"}
    assert all(d.agrees for d in found), found


KERNELS = [("cpu", SDPBackend.MATH), ("cpu", SDPBackend.FLASH_ATTENTION)]
"""Those that multiply in float32."""
DEVICES = ["cpu"]
if torch.cuda.is_available():
    KERNELS += [("cuda", SDPBackend.MATH), ("cuda", SDPBackend.EFFICIENT_ATTENTION)]
    DEVICES += ["cuda"]


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
@pytest.mark.parametrize(("device", "kernel"), KERNELS, ids=lambda one: getattr(one, "name", one))
def test_every_kernel_that_attends_meets_them(device: str, kernel: SDPBackend, path: Path) -> None:
    with sdpa_kernel(kernel):
        found = differences(path, device=device)
    assert all(d.agrees for d in found), found


BF16 = {"loss_pass1": 0.01, "loss_pass2": 0.01, "logits_pass1": 0.1, "logits_pass2": 0.1, "grad_S": 0.01}
"""What multiplying in bfloat16 may change. Losses are about 5 nats, logits up to 4, the largest gradients .1 to .2."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_bfloat16_stays_within_its_bounds_and_leaves_the_weights_alone(path: Path, device: str) -> None:
    """The weights are a softmax in float32, which rounds otherwise on a GPU, but the same with autocast and without."""
    exact = {d.quantity: d.largest for d in differences(path, device=device)}
    with torch.autocast(device, torch.bfloat16):
        found = {d.quantity: d.largest for d in differences(path, device=device)}
    assert found["W"] == exact["W"] <= 1e-6
    assert all(found[quantity] <= most for quantity, most in BF16.items()), found
    assert found["logits_pass2"] > 1e-3, "it did multiply in bfloat16"


def test_the_references_cover_both_normalisations_and_shared_keys() -> None:
    assert [p.stem for p in REFERENCES] == ["llama_gqa_plain", "llama_gqa_vnorm", "llama_mha_plain", "llama_mha_vnorm"]


def test_reference_prints_a_row_for_each_quantity_and_says_where_it_disagrees(tmp_path: Path) -> None:
    code, out, err = run(*REFERENCES)
    assert (code, err) == (0, "")
    assert out.count("within") == 24
    assert "above" not in out

    arrays = dict(np.load(REFERENCES[0], allow_pickle=False))
    arrays["grad_S"][1, 2] += 2e-4
    arrays["logits_pass2"][~arrays["mask"].astype(bool)] = np.nan  # nobody reads the logits of padding
    np.savez(tmp_path / "plain.npz", **arrays)
    code, out, _ = run(REFERENCES[0], tmp_path / "plain.npz")
    assert code == 1
    assert [line.split("│")[2].strip() for line in out.splitlines() if "above" in line] == ["grad_S"]

    arrays["loss_pass2"] = np.float32("nan")
    np.savez(tmp_path / "plain.npz", **arrays)
    assert run(tmp_path / "plain.npz")[0] == 1, "a NaN is no agreement"
    assert run("--v-norm", REFERENCES[0])[0] == 1, "V-normalisation changes what comes out"


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_reference_refuses_bad_files_says_why_and_unpickles_nothing(tmp_path: Path) -> None:
    good = dict(np.load(REFERENCES[0], allow_pickle=False))
    trap = np.array([_Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / "trap_plain.npz", **good | {"S": trap})
    np.savez(tmp_path / "few_plain.npz", **{k: v for k, v in good.items() if k != "grad_S"})
    np.savez(tmp_path / "shape_plain.npz", **good | {"W": good["W"][:3]})
    np.savez(tmp_path / "ids_plain.npz", **good | {"ids": good["ids"] + 1000})
    np.savez(tmp_path / "model_plain.npz", **good | {"config": np.frombuffer(b'{"model_type": "gpt2"}', np.uint8)})
    np.savez(tmp_path / "unnamed.npz", **good)
    np.save(tmp_path / "single_plain.npy", good["S"])
    (tmp_path / "cut_plain.npz").write_bytes(REFERENCES[0].read_bytes()[:90_000])
    (tmp_path / "empty_plain.npz").touch()
    reasons = {
        "trap_plain.npz": "pickle",
        "few_plain.npz": "grad_S",
        "shape_plain.npz": "W has the shape (3, 5)",
        "ids_plain.npz": "does not fit",
        "model_plain.npz": "gpt2",
        "unnamed.npz": "--v-norm",
        "single_plain.npy": "one array",
        "cut_plain.npz": "damaged",
        "empty_plain.npz": "damaged",
        "missing.npz": "no such file",
    }
    for name, reason in reasons.items():
        code, out, err = run(tmp_path / name)
        assert (code, out) == (2, ""), name
        assert name in err and reason in err, err
    assert not (tmp_path / "sprung").exists()
    code, out, _ = run(tmp_path / "empty_plain.npz", REFERENCES[0])
    assert code == 2 and out.count("within") == 6, "one bad file does not hide the others"
