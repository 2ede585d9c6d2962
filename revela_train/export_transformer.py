"""From a trained transformer to a Bundle: ONNX written, loaded back, compared with torch, made int8 where that holds.

In int8 a model is a quarter as large and, on processors with instructions for it, faster. It is kept if questions with
known answers are answered as well, within LOSS of nDCG@10; without such questions nothing can be shown, and float32
stays.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from codesearch.bundle import MODEL, TOKENIZER, Bundle, Description, load, save
from codesearch.encode import OnnxEncoder
from codesearch.errors import BundleError, UsageError
from codesearch.types import Encoder
from revela_train.exam import Exam
from revela_train.export import ExportMismatchError
from revela_train.precision import Precision
from revela_train.transformer import TransformerRetriever, merged

LOSS: Final = 0.005
"""Of nDCG@10 that int8 may cost."""
_TOLERANCE: Final = 1e-3
"""Largest difference of a component of a unit vector between torch and ONNX, both in float32. Rounding makes some 1e-7,
and more with every layer; a wrong mask or pooling a hundredth and more."""
_OPSET: Final = 18
_DATA: Final = "model.onnx.data"
"""Holds the weights of a model that protobuf, with its limit of 2 GB, can not."""
_LARGE: Final = 1_500_000_000


def export(
    retriever: TransformerRetriever,
    folder: Path,
    *,
    name: str,
    texts: Sequence[str],
    exam: Exam,
    provenance: dict[str, Any],
    adapted: bool = False,
) -> Bundle:
    """Write RETRIEVER, whose adapters are merged, as a Bundle to FOLDER; int8 where EXAM is passed as well with it.

    TEXTS are what the exported model is compared on, together and each alone. Where anything fails, what FOLDER held
    before stays.

    Raises:
        ExportMismatchError: the exported model does not give what the trained one gave.
        UsageError: a package that exports is missing.
    """
    retriever.model = merged(retriever.model.float().cpu())
    retriever.eval()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as scratch:
        exact, quick = Path(scratch, Precision.FLOAT32), Path(scratch, Precision.INT8)

        def described(it: Path, precision: Precision) -> OnnxEncoder:
            said = provenance | {"precision": precision} | ({"ndcg": ndcg} if ndcg else {})
            return OnnxEncoder(save(it, _description(retriever, name, adapted, said)))

        ndcg: dict[Precision, float] = {}
        _write(retriever, exact)
        trained = described(exact, Precision.FLOAT32)
        _compare(trained, retriever, texts)
        chosen = Precision.FLOAT32
        if exam.questions:
            _quantise(exact, quick)
            ndcg = {Precision.FLOAT32: round(exam.ndcg(trained), 4)}
            ndcg[Precision.INT8] = round(exam.ndcg(described(quick, Precision.INT8)), 4)
            if ndcg[Precision.INT8] >= ndcg[Precision.FLOAT32] - LOSS:
                chosen = Precision.INT8
        described(Path(scratch, chosen), chosen)
        shutil.rmtree(folder, ignore_errors=True)
        Path(scratch, chosen).rename(folder)
    return load(folder)


def _description(retriever: TransformerRetriever, name: str, adapted: bool, provenance: dict[str, Any]) -> Description:
    return Description(
        name=name,
        architecture=str(retriever.model.config.model_type),  # type: ignore[union-attr]
        dimensions=retriever.dimensions,
        max_tokens=retriever.longest,
        normalise="none",
        adapted=adapted,
        query_prefix=retriever.prefixes["query"],
        passage_prefix=retriever.prefixes["passage"],
        provenance=provenance,
    )


def _write(retriever: TransformerRetriever, folder: Path) -> None:
    """Write to FOLDER tokenizer and ONNX: ids and mask (batch, length) → sentence_embedding (batch, dimensions)."""
    try:
        import onnxscript  # noqa: F401 - what torch exports with
    except ImportError as error:
        raise UsageError(
            "exporting a transformer needs onnxscript. Install codesearch with its extra `backbones`."
        ) from error
    folder.mkdir()
    retriever.tokenizer.no_truncation()  # search cuts texts itself
    retriever.tokenizer.save(str(folder / TOKENIZER))
    # One of the two is padded, lest the exporter finds that masks are never needed.
    ids = torch.full((2, 8), 1)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    batch, length = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("length", min=1, max=retriever.longest)
    size = 4 * sum(one.numel() for one in retriever.parameters())
    with _quietly():
        torch.onnx.export(
            retriever,
            (ids, mask),
            str(folder / MODEL),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_shapes={name: {0: batch, 1: length} for name in ("input_ids", "attention_mask")},
            opset_version=_OPSET,
            external_data=size > _LARGE,
            verbose=False,
        )


def _quantise(exact: Path, quick: Path) -> None:
    """Write to QUICK what EXACT holds, in int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quick.mkdir()
    shutil.copyfile(exact / TOKENIZER, quick / TOKENIZER)
    large = (exact / _DATA).exists()
    with _quietly():
        quantize_dynamic(
            exact / MODEL, quick / MODEL, per_channel=True, weight_type=QuantType.QInt8, use_external_data_format=large
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what exporters log about themselves from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _compare(exported: Encoder, trained: Encoder, texts: Sequence[str]) -> None:
    for role in ("query", "passage"):
        expected = trained.encode(texts, role)
        try:
            got = exported.encode(texts, role)
        except BundleError as error:  # no vectors at all, or no numbers
            raise ExportMismatchError(f"the exported model does not work: {error}") from error
        difference = float(np.abs(got - expected).max())
        if not difference <= _TOLERANCE:  # nor where it is no number
            raise ExportMismatchError(
                f"the exported model differs from the trained one by {difference:.2g}; it may by {_TOLERANCE:.2g}"
            )
