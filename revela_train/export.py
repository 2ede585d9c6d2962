"""From a trained retriever to a Bundle: ONNX written, loaded back, and compared with torch on real texts.

The table is kept in float16 (half the package, no loss that ranking can see) and cast after the gather.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from codesearch.bundle import MODEL, TOKENIZER, Bundle, Description, load, save
from codesearch.encode import OnnxEncoder
from codesearch.errors import CodesearchError
from revela_train.retriever import StaticRetriever, TorchEncoder

_OPSET: Final = 18

_TOLERANCE: Final = 2e-3
"""Largest difference of a component that float16 vectors may cause."""


class ExportMismatchError(CodesearchError):
    """The exported model does not give what the trained one gave; nothing was kept."""


def graph(retriever: StaticRetriever) -> onnx.ModelProto:
    """Return Gather + masked weighted mean + normalise as ONNX: ids and mask (B, L) → sentence_embedding (B, D)."""
    table = retriever.vectors.detach().numpy().astype(np.float16)
    weights = retriever.log_weights.detach().exp().numpy().astype(np.float32)
    constants = {
        "vectors": table,
        "weights": weights,
        "one": np.array([1], np.int64),
        "tiny": np.array(1e-12, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["vectors", "input_ids"], ["gathered16"]),
        node("Cast", ["gathered16"], ["gathered"], to=TensorProto.FLOAT),
        node("Gather", ["weights", "input_ids"], ["raw_weight"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Mul", ["raw_weight", "mask"], ["weight"]),
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


def export(
    retriever: StaticRetriever,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    name: str,
    texts: Sequence[str],
    provenance: dict[str, Any],
    max_tokens: int = 4096,
) -> Bundle:
    """Write a Bundle to FOLDER, load it back and compare it on TEXTS, alone and padded; raise where they disagree."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    onnx.save(graph(retriever), str(partial / MODEL))
    tokenizer.save(str(partial / TOKENIZER))
    dimensions = int(retriever.vectors.shape[1])
    save(
        partial,
        Description(
            name=name,
            architecture="static",
            dimensions=dimensions,
            max_tokens=max_tokens,
            normalise="bag",
            provenance=provenance,
        ),
    )
    exported, trained = OnnxEncoder(load(partial)), TorchEncoder(retriever, tokenizer)
    expected = trained.encode(texts, "passage")
    together = exported.encode(texts, "passage")
    alone = np.concatenate([exported.encode([t], "passage") for t in texts])
    for got in (together, alone):
        difference = float(np.abs(got - expected).max())
        if not difference <= _TOLERANCE:
            shutil.rmtree(partial)
            raise ExportMismatchError(f"the exported model differs from the trained one by {difference:.2g}")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return load(folder)
