"""From a trained retriever to a Bundle: ONNX written, loaded back, and compared with torch on real texts.

The table is most of a bundle, and is kept as exactly as `Precision` says; it becomes float32 behind the gather, so that
only the rows of a text are converted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from codesearch.bundle import MODEL, TOKENIZER, Bundle, Description, load, save
from codesearch.encode import OnnxEncoder
from codesearch.errors import BundleError, CodesearchError
from codesearch.types import Encoder
from revela_train.precision import Precision
from revela_train.retriever import StaticRetriever, TorchEncoder

_OPSET: Final = 18
_WHOLE: Final = 127
"""Largest number of a row in int8."""


class ExportMismatchError(CodesearchError):
    """The exported model does not give what the trained one gave; nothing was kept."""


def graph(retriever: StaticRetriever, precision: Precision = Precision.FLOAT16) -> onnx.ModelProto:
    """Return Gather + masked weighted mean + normalise as ONNX: ids and mask (B, L) → sentence_embedding (B, D).

    In int8 a row's scale multiplies its piece's weight: the sum is the same, and what it is divided by, the sum of the
    weights, cancels when the mean is normalised. Both are kept, since adapting needs the vectors at their length.
    """
    table = retriever.vectors.detach().numpy()
    constants: dict[str, NDArray[Any]] = {
        "weights": retriever.log_weights.detach().exp().numpy().astype(np.float32),
        "one": np.array([1], np.int64),
        "tiny": np.array(1e-12, np.float32),
    }
    node = helper.make_node
    weight, scale = "raw_weight", []
    match precision:
        case Precision.FLOAT32:
            constants["vectors"] = table.astype(np.float32)
        case Precision.FLOAT16:
            constants["vectors"] = table.astype(np.float16)
        case Precision.INT8:
            constants["vectors"], constants["scales"] = _quantised(table)
            scale = [
                node("Gather", ["scales", "input_ids"], ["scale"]),
                node("Mul", ["raw_weight", "scale"], ["scaled_weight"]),
            ]
            weight = "scaled_weight"
    nodes = [
        node("Gather", ["vectors", "input_ids"], ["stored"]),
        node("Cast", ["stored"], ["gathered"], to=TensorProto.FLOAT),
        node("Gather", ["weights", "input_ids"], ["raw_weight"]),
        *scale,
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Mul", [weight, "mask"], ["weight"]),
        node("Unsqueeze", ["weight", "one"], ["row"]),
        node("MatMul", ["row", "gathered"], ["summed_row"]),
        node("Squeeze", ["summed_row", "one"], ["summed"]),
        node("ReduceSum", ["weight", "one"], ["total"], keepdims=1),
        node("Max", ["total", "tiny"], ["total_safe"]),
        node("Div", ["summed", "total_safe"], ["mean"]),
        node("ReduceL2", ["mean", "one"], ["norm"], keepdims=1),
        node("Max", ["norm", "tiny"], ["norm_safe"]),
        node("Div", ["mean", "norm_safe"], ["sentence_embedding"]),
    ]
    made = helper.make_graph(
        nodes,
        "static_retriever",
        [
            helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"])
            for n in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", table.shape[1]])],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def _quantised(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the rows of TABLE (V, D) as whole numbers (V, D), and the scale (V,) that gives each row back."""
    largest = np.abs(table).max(axis=1)
    scales = np.where(largest > 0, largest / _WHOLE, 1).astype(np.float32)
    return np.rint(table / scales[:, None]).astype(np.int8), scales


def stored(model: onnx.ModelProto) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vectors (V, D) and weights (V,) that `graph` put into MODEL, at whichever precision."""
    held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    vectors = held["vectors"].astype(np.float32)
    if "scales" in held:
        vectors *= held["scales"][:, None]
    return vectors, held["weights"].astype(np.float32)


def export(
    retriever: StaticRetriever,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    name: str,
    texts: Sequence[str],
    provenance: dict[str, Any],
    max_tokens: int = 4096,
    precision: Precision = Precision.FLOAT16,
    adapted: bool = False,
) -> Bundle:
    """Write a Bundle to FOLDER, load it back and compare it on TEXTS, alone and padded.

    PROVENANCE gets the PRECISION beside what it says; ADAPTED is as `Description` has it. Where anything fails, what
    FOLDER held before stays.

    Raises:
        ExportMismatchError: the vectors differ by more than the precision may cause, or the tokenizer knows pieces that
            the retriever has no vector for.
    """
    rows, dimensions = retriever.vectors.shape
    if tokenizer.get_vocab_size() > rows:
        raise ExportMismatchError(f"the tokenizer has {tokenizer.get_vocab_size()} pieces, the retriever {rows}")
    with whole(folder) as partial:
        onnx.save(graph(retriever, precision), str(partial / MODEL))
        tokenizer.save(str(partial / TOKENIZER))
        made = save(
            partial,
            Description(
                name=name,
                architecture="static",
                dimensions=dimensions,
                max_tokens=max_tokens,
                normalise="bag",
                adapted=adapted,
                provenance=provenance | {"precision": precision},
            ),
        )
        compare(OnnxEncoder(made), TorchEncoder(retriever, tokenizer), texts, precision)
    return load(folder)


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes the place of FOLDER when the block is done; where it fails, FOLDER stays."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def compare(exported: Encoder, trained: Encoder, texts: Sequence[str], precision: Precision) -> None:
    """Raise ExportMismatchError where the two encoders disagree on TEXTS, together and each alone."""
    expected = trained.encode(texts, "passage")
    try:
        together = exported.encode(texts, "passage")
        alone = np.concatenate([exported.encode([t], "passage") for t in texts])
    except BundleError as error:  # no vectors at all, or no numbers
        raise ExportMismatchError(f"the exported model does not work: {error}") from error
    for got in (together, alone):
        difference = float(np.abs(got - expected).max())
        if not difference <= precision.tolerance:  # nor where it is no number
            raise ExportMismatchError(
                f"the exported model differs from the trained one by {difference:.2g}; "
                f"{precision} may by {precision.tolerance:.2g}"
            )
