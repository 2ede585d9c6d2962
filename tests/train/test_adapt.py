"""Anchored adaptation: read out of the shipped bundle, and held where pretraining knew better."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tokenizers import Tokenizer  # noqa: E402

from codesearch.bundle import TOKENIZER, load  # noqa: E402
from codesearch.encode import OnnxEncoder  # noqa: E402
from codesearch.paths import base_bundle  # noqa: E402
from revela_train.adapt import Anchored, from_bundle  # noqa: E402
from revela_train.precision import Precision  # noqa: E402
from revela_train.retriever import StaticRetriever, TorchEncoder  # noqa: E402


def test_the_shipped_bundle_is_read_back_as_the_retriever_that_it_was() -> None:
    bundle, texts = load(base_bundle()), ["retry with backoff", "def parse_query(text): return text.split('&')"]
    onnx = OnnxEncoder(bundle)
    read = TorchEncoder(from_bundle(bundle), Tokenizer.from_file(str(bundle.folder / TOKENIZER)))
    assert np.abs(read.encode(texts, "query") - onnx.encode(texts, "query")).max() < Precision.FLOAT16.tolerance


def test_common_pieces_stay_and_rare_ones_move() -> None:
    torch.manual_seed(0)
    base = StaticRetriever(4, 8)
    anchored = Anchored(base, torch.tensor([0.0, 0.0, 100.0, 1e6]), 300.0)
    before = base.vectors.detach().clone()
    optimiser = torch.optim.Adam([anchored.difference], lr=0.1)
    pieces, offsets, target = torch.tensor([1, 2, 3]), torch.tensor([0, 1, 2]), torch.eye(8)[:3]
    for _ in range(20):
        loss = -(anchored.bags(pieces, offsets) * target).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    moved = (anchored.retriever().vectors - before).norm(dim=1)
    assert moved[0] == 0
    assert moved[3] < 1e-2 * min(moved[1], moved[2])
    assert torch.equal(base.vectors, before)
    assert torch.allclose(anchored.retriever().bags(pieces, offsets), anchored.bags(pieces, offsets), atol=1e-6)
