"""A bundle gives what was trained, at each precision, or there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from tokenizers import Tokenizer  # noqa: E402

from codesearch.bundle import MODEL, Bundle  # noqa: E402
from codesearch.encode import OnnxEncoder  # noqa: E402
from revela_train import export, tokenizer  # noqa: E402
from revela_train.adapt import from_bundle  # noqa: E402
from revela_train.export import ExportMismatchError  # noqa: E402
from revela_train.precision import Precision  # noqa: E402
from revela_train.retriever import StaticRetriever, TorchEncoder  # noqa: E402

TEXTS = ["parse the http request header", "x", "retry with exponential back off " * 40, "header of a header"]


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return tokenizer.train(TEXTS * 10, 200)


@pytest.fixture
def retriever(words: Tokenizer) -> StaticRetriever:
    """Rows of very different lengths, and a padding row that is no longer nothing, so that a lost mask shows."""
    torch.manual_seed(1)
    made = StaticRetriever(words.get_vocab_size(), 64)
    with torch.no_grad():
        made.log_weights.normal_()
        made.vectors.mul_(torch.logspace(-3, 1, len(made.vectors)).unsqueeze(1))
        made.vectors[0] = made.vectors[-1]
    return made


def exported(retriever: StaticRetriever, words: Tokenizer, folder: Path, precision: Precision) -> Bundle:
    return export.export(retriever, words, folder, name="t", texts=TEXTS, provenance={"seed": 1}, precision=precision)


@pytest.mark.parametrize("precision", Precision)
def test_each_precision_gives_what_was_trained_and_can_be_trained_further(
    retriever: StaticRetriever, words: Tokenizer, tmp_path: Path, precision: Precision
) -> None:
    bundle = exported(retriever, words, tmp_path / "b", precision)
    assert bundle.description.provenance == {"seed": 1, "precision": precision}
    unseen = ["an exponential request", "back off back off", "parse x with http"]
    expected = TorchEncoder(retriever, words).encode(unseen, "query")
    got = OnnxEncoder(bundle).encode(unseen, "query")
    np.testing.assert_allclose(got, expected, atol=precision.tolerance)
    again = from_bundle(bundle)
    np.testing.assert_allclose(TorchEncoder(again, words).encode(unseen, "query"), got, atol=1e-5)
    lengths = again.vectors.norm(dim=1) / retriever.vectors.norm(dim=1)
    assert (lengths - 1).abs().max() < 0.01, "the anchored update adds to vectors of the length that was trained"
    assert torch.allclose(again.log_weights, retriever.log_weights, atol=1e-5)


def test_a_smaller_precision_is_a_smaller_bundle(retriever: StaticRetriever, words: Tokenizer, tmp_path: Path) -> None:
    sizes = [
        (exported(retriever, words, tmp_path / one, one).folder / MODEL).stat().st_size
        for one in (Precision.INT8, Precision.FLOAT16, Precision.FLOAT32)
    ]
    table = retriever.vectors.numel()
    assert sizes[1] - sizes[0] > 0.8 * table
    assert sizes[2] - sizes[1] > 1.8 * table


def without_mask(model: Any) -> None:
    """Let padding count: the multiplication by the mask becomes one by itself, which is no NaN and no error."""
    (masked,) = (node for node in model.graph.node if list(node.output) == ["weight"])
    masked.op_type = "Identity"
    del masked.input[1:]


def without_scales(model: Any) -> None:
    (scaled,) = (node for node in model.graph.node if list(node.output) == ["scaled_weight"])
    scaled.op_type = "Identity"
    del scaled.input[1:]


def one_row_further(model: Any) -> None:
    (vectors,) = (one for one in model.graph.initializer if one.name == "vectors")
    table = onnx.numpy_helper.to_array(vectors)
    vectors.CopyFrom(onnx.numpy_helper.from_array(np.roll(table, 1, axis=0), "vectors"))


def no_number(model: Any) -> None:
    (weights,) = (one for one in model.graph.initializer if one.name == "weights")
    vectors = onnx.numpy_helper.to_array(weights) * np.float32("nan")
    weights.CopyFrom(onnx.numpy_helper.from_array(vectors, "weights"))


@pytest.mark.parametrize(
    ("precision", "breaks"),
    [
        *((precision, breaks) for precision in Precision for breaks in (without_mask, one_row_further, no_number)),
        (Precision.INT8, without_scales),
    ],
)
def test_a_graph_that_gives_something_else_is_refused_and_what_was_there_stays(
    retriever: StaticRetriever,
    words: Tokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
    breaks: Any,
) -> None:
    before = exported(retriever, words, tmp_path / "b", precision)
    made = export.graph

    def broken(retriever: StaticRetriever, precision: Precision) -> Any:
        model = made(retriever, precision)
        breaks(model)
        onnx.checker.check_model(model, full_check=True)
        return model

    monkeypatch.setattr(export, "graph", broken)
    for folder in "b", "new":
        with pytest.raises(ExportMismatchError, match=r"differs|does not work"):
            exported(retriever, words, tmp_path / folder, precision)
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]
    assert from_bundle(before).vectors.shape == retriever.vectors.shape


def test_a_tokenizer_of_another_retriever_is_refused(
    retriever: StaticRetriever, words: Tokenizer, tmp_path: Path
) -> None:
    small = StaticRetriever(words.get_vocab_size() - 1, 64)
    with pytest.raises(ExportMismatchError, match="pieces"):
        exported(small, words, tmp_path / "b", Precision.FLOAT16)
    assert not list(tmp_path.iterdir())


def test_a_text_that_the_bundle_cuts_short_is_refused(
    retriever: StaticRetriever, words: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ExportMismatchError, match=r"differs|does not work"):
        export.export(retriever, words, tmp_path / "b", name="t", texts=TEXTS, provenance={}, max_tokens=2)
    assert not list(tmp_path.iterdir())
