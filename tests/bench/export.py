"""What each precision of the shipped retriever costs, as a table: python -m tests.bench.export SOURCE OUT.

SOURCE is a folder of source code; 2,000 of its chunks, spread over it, are encoded. The bundles stay below OUT, one
folder a precision. The shipped table is float16 already, so float32 is what float16 is compared with, and not more
exact than it. Times are the best of five, the precisions taking turns, since the machine may have other things to do.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from codesearch.bundle import TOKENIZER, load
from codesearch.encode import OnnxEncoder
from codesearch.eval.heldout import cut
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from codesearch.text import document
from revela_train.adapt import from_bundle
from revela_train.export import export
from revela_train.precision import Precision

TEXTS = 2000
ROUNDS = 5


def main() -> None:
    """Export, encode, compare."""
    source, out = map(Path, sys.argv[1:])
    chunks = cut(source, Settings())
    texts = [document(chunk) for chunk in chunks[:: max(1, len(chunks) // TEXTS)]][:TEXTS]
    base = load(base_bundle())
    retriever, tokenizer = from_bundle(base), Tokenizer.from_file(str(base.folder / TOKENIZER))
    bundles = {
        one: export(retriever, tokenizer, out / one, name=one, texts=texts[::32], provenance={}, precision=one)
        for one in Precision
    }
    encoders = {one: OnnxEncoder(bundle) for one, bundle in bundles.items()}
    seconds = {one: float("inf") for one in Precision}
    vectors = {}
    for _ in range(ROUNDS):
        for one, encoder in encoders.items():
            began = time.perf_counter()
            vectors[one] = encoder.encode(texts, "passage")
            seconds[one] = min(seconds[one], time.perf_counter() - began)
    exact = vectors[Precision.FLOAT32]
    print(f"{len(texts)} texts   MB   largest difference   mean cosine   lowest   seconds   ratio")
    for one, got in vectors.items():
        size = sum(file.stat().st_size for file in bundles[one].folder.iterdir()) / 1e6
        cosine = (got.astype(np.float64) * exact).sum(axis=1)
        print(
            f"{one:9} {size:6.1f} {np.abs(got - exact).max():20.1e} {cosine.mean():13.6f} {cosine.min():8.5f}"
            f" {seconds[one]:9.3f} {seconds[one] / seconds[Precision.FLOAT32]:7.2f}"
        )


if __name__ == "__main__":
    main()
