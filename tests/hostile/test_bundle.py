"""A model folder of a stranger's: it says clearly what is wrong with it, runs nothing and reads nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesearch import bundle
from codesearch.bundle import DESCRIPTION, MODEL, TOKENIZER, Description
from codesearch.encode import OnnxEncoder
from codesearch.errors import BundleError, CodesearchError
from codesearch.paths import base_bundle
from codesearch.workspace import Workspace
from tests.cli.conftest import Command, codesearch, script, surroundings, write  # noqa: F401
from tests.hostile.watch import nothing_opened

ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "12"))
"""Mutations of each file of a bundle that are tried."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle like the one that ships, with a file beside it that is nobody's business."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "weights").write_bytes(bytes(4 * 256))
    return shutil.copytree(base_bundle(), tmp_path / "bundle")


def use(folder: Path) -> np.ndarray[Any, Any]:
    return OnnxEncoder(bundle.load(folder)).encode(["def retry(call): call()", ""], "passage")


def describe(folder: Path, **said: Any) -> None:
    """Write a description that says what SAID does, is of these very files, and has the fingerprint of itself."""
    description = json.loads((folder / DESCRIPTION).read_text())
    description.pop("fingerprint")
    (folder / DESCRIPTION).unlink()
    bundle.save(folder, Description(**(description | said)))


def says(**said: Any) -> Callable[[Path], None]:
    return lambda folder: describe(folder, **said)


def holds(name: str, content: bytes) -> Callable[[Path], None]:
    """Put CONTENT in the place of a file, and describe it as it is."""

    def poison(folder: Path) -> None:
        (folder / name).write_bytes(content)
        describe(folder)

    return poison


def reads(text: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / DESCRIPTION).write_bytes(text) and None  # type: ignore[func-returns-value]


def becomes_pipe(name: str) -> Callable[[Path], None]:
    def poison(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return poison


def edits(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change what bundle.json says, and nothing to fit."""

    def poison(folder: Path) -> None:
        said = json.loads((folder / DESCRIPTION).read_text())
        change(said)
        (folder / DESCRIPTION).write_text(json.dumps(said))

    return poison


def pieces(folder: Path) -> None:
    """A tokenizer whose pieces the model has not."""
    said = json.loads((folder / TOKENIZER).read_text())
    said["model"]["vocab"] = {piece: number + 1_000_000 for piece, number in said["model"]["vocab"].items()}
    (folder / TOKENIZER).write_text(json.dumps(said))
    describe(folder)


def graph(*nodes: tuple[str, list[str], list[str], dict[str, Any]], outside: str = "", domain: str = "") -> bytes:
    """Return a model of NODES over a table W of zeros; with OUTSIDE, the table is in that file."""
    from onnx import TensorProto, helper

    table = helper.make_tensor("W", TensorProto.FLOAT, (1, 256), bytes(4 * 256), raw=True)
    if outside:
        table.ClearField("raw_data")
        table.data_location = TensorProto.EXTERNAL
        for key, value in {"location": outside, "offset": "0", "length": str(4 * 256)}.items():
            entry = table.external_data.add()
            entry.key, entry.value = key, value
    made = [helper.make_node(what, *places, domain=domain, **given) for what, *places, given in nodes]
    shapes = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "l"]) for n in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, None)
    versions = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(helper.make_graph(made, "g", shapes, [out], [table]), opset_imports=versions)
    model.ir_version = 8
    return bytes(model.SerializeToString())


def no_numbers() -> bytes:
    return graph(("Div", ["W", "W"], ["sentence_embedding"], {}))


POISONED: dict[str, tuple[Callable[[Path], None], str]] = {
    "brackets without end": (reads(b"[" * 300_000), "can not be read"),
    "a list": (reads(b"[]"), "can not be read"),
    "not UTF-8": (reads(b'{"format": "\xff"}'), "can not be read"),
    "a number of ten thousand digits": (reads(b'{"format": ' + b"9" * 10_000 + b"}"), "can not be read"),
    "another format": (edits(lambda said: said.update(format=2)), "bundle format 2"),
    "another fingerprint": (edits(lambda said: said.update(fingerprint="0" * 32)), "fingerprint does not match"),
    "an edited prefix": (edits(lambda said: said.update(query_prefix="x")), "fingerprint does not match"),
    "a file above": (edits(lambda said: said["files"].update({"../private/weights": "0"})), "outside its folder"),
    "an absolute file": (edits(lambda said: said["files"].update({"/etc/passwd": "0"})), "outside its folder"),
    "the folder above": (edits(lambda said: said["files"].update({"..": "0"})), "no usable model"),
    "no files": (edits(lambda said: said.update(files={})), "does not name"),
    "digests that are none": (edits(lambda said: said["files"].update({MODEL: 7})), "SHA-256"),
    "another model than described": (lambda folder: (folder / MODEL).write_bytes(b"x") and None, "is not the file"),  # type: ignore[func-returns-value]
    "a missing tokenizer": (lambda folder: (folder / TOKENIZER).unlink(), "no usable model"),
    "bundle.json is a pipe": (becomes_pipe(DESCRIPTION), "no usable model"),
    "the model is a pipe": (becomes_pipe(MODEL), "no usable model"),
    "ten trillion dimensions": (says(dimensions=10**13), "dimensions is"),
    "minus one dimension": (says(dimensions=-1), "dimensions is"),
    "dimensions in words": (says(dimensions="many"), "no int"),
    "true dimensions": (says(dimensions=True), "no int"),
    "other dimensions than the model's": (says(dimensions=128), "no vectors of 128"),
    "no pieces": (says(max_tokens=0), "max_tokens is"),
    "all pieces there could be": (says(max_tokens=2**70), "max_tokens is"),
    "a way of normalising that is none": (says(normalise="exec"), "bag or none"),
    "a prefix that is a list": (says(passage_prefix=["x"]), "no str"),
    "a pickle": (holds(MODEL, b"\x80\x04\x95cos\nsystem\n(S'touch ran'\ntR."), "does not load"),
    "an empty model": (holds(MODEL, b""), "does not load"),
    "an operator of nobody's": (
        holds(MODEL, graph(("Run", ["input_ids"], ["sentence_embedding"], {}), domain="com.evil")),
        "does not load",
    ),
    "weights in a file above": (
        holds(MODEL, graph(("Identity", ["W"], ["sentence_embedding"], {}), outside="../private/weights")),
        "does not load",
    ),
    "weights in an absolute file": (
        holds(MODEL, graph(("Identity", ["W"], ["sentence_embedding"], {}), outside="/etc/passwd")),
        "does not load",
    ),
    "no numbers": (holds(MODEL, no_numbers()), "gives no vectors"),
    "whole numbers": (
        holds(MODEL, graph(("Identity", ["input_ids"], ["sentence_embedding"], {}))),
        "does not load|gives no vectors",
    ),
    "a tokenizer of brackets": (holds(TOKENIZER, b"[" * 300_000), "does not load"),
    "a tokenizer of nothing": (holds(TOKENIZER, b"{}"), "does not load"),
    "pieces that the model has not": (pieces, "fails"),
}


@pytest.mark.parametrize("poisoned", POISONED)
def test_a_poisoned_model_is_refused_with_a_reason(poisoned: str, folder: Path) -> None:
    poison, said = POISONED[poisoned]
    poison(folder)
    with nothing_opened(folder.parent / "private"), pytest.raises(BundleError, match=said) as caught:
        use(folder)
    assert "\n" not in str(caught.value) and not (folder.parent / "ran").exists()


def test_the_command_measures_a_poisoned_model_by_an_error(tmp_path: Path, folder: Path, codesearch: Command) -> None:  # noqa: F811
    root = write(tmp_path / "shop")
    describe(folder, dimensions=128)
    (folder / DESCRIPTION).write_text((folder / DESCRIPTION).read_text().replace('"bag"', '"\\u001b[2Jbag"'))
    done = codesearch("eval", "--model", folder, cwd=root)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "\x1b" not in done.stderr
    assert "bag or none" in done.stderr


@pytest.mark.parametrize("name", [DESCRIPTION, TOKENIZER, MODEL])
def test_a_mutated_model_is_right_or_an_error(name: str, folder: Path) -> None:
    """Bits, runs and lengths are changed at random; the description fits the file again, or nothing would be tried."""
    good = (folder / name).read_bytes()
    dice = random.Random(name)
    refused = 0
    for _ in range(ROUNDS):
        bad = bytearray(good)
        for _ in range(dice.randrange(1, 5)):
            # The head of a file says how the rest is read.
            at = dice.randrange(min(len(bad), dice.choice((64, 2_000, len(bad)))))
            kind = dice.random()
            if kind < 0.5:
                bad[at] ^= 1 << dice.randrange(8)
            elif kind < 0.7:
                bad[at : at + dice.randrange(1, 40)] = dice.randbytes(dice.randrange(8))
            elif kind < 0.9:
                bad[at:at] = bad[at : at + dice.randrange(1, 200)]
            else:
                del bad[at + 1 :]
        (folder / name).write_bytes(bad)
        if name != DESCRIPTION:
            (folder / DESCRIPTION).write_bytes((base_bundle() / DESCRIPTION).read_bytes())
            describe(folder)
        try:
            vectors = use(folder)
        except CodesearchError:
            refused += 1
            continue
        assert vectors.shape == (2, 256) and np.isfinite(vectors).all()
    assert refused > ROUNDS // 10, "something was tried"


def test_an_index_whose_model_was_poisoned_is_built_again(tmp_path: Path) -> None:
    with Workspace.open(write(tmp_path / "shop")) as workspace:
        for _ in workspace.index(workers=0):
            pass
        model = next(workspace.layout.folder.glob("gen-*/model"))
    holds(MODEL, no_numbers())(model)
    with Workspace.open(tmp_path / "shop") as workspace:
        assert workspace.ask("sum the prices of all items").hits[0].path == "shop/cart.py"
        assert workspace.snapshot().encoder.fingerprint == workspace.base.fingerprint
