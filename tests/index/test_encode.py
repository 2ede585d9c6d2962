"""The encoder: what it takes for granted of its tokenizer; and one text has one vector, whatever is encoded with it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from codesearch.bundle import TOKENIZER, load
from codesearch.encode import OnnxEncoder, passages
from codesearch.paths import base_bundle
from codesearch.text import bag

BASE = load(base_bundle())
WHOLE = Tokenizer.from_file(str(BASE.folder / TOKENIZER))
ENCODER = OnnxEncoder(BASE)
ANOTHER = OnnxEncoder(BASE)
NAMES = st.text("aåbBçZz_09 .İß", max_size=60) | st.text(max_size=60)


@settings(deadline=None, max_examples=50)
@given(NAMES)
def test_the_pieces_of_a_bag_are_those_of_its_words(text: str) -> None:
    apart = [piece for word in bag(text).split() for piece in WHOLE.encode(word).ids]
    assert apart == WHOLE.encode(bag(text)).ids


@settings(deadline=None, max_examples=50)
@given(st.lists(NAMES, max_size=4), NAMES)
def test_a_text_has_one_vector_whatever_is_encoded_with_it(others: list[str], text: str) -> None:
    together = ENCODER.encode([*others, text], "passage")[-1]
    assert np.array_equal(together, ANOTHER.encode([text], "passage")[0])


@settings(deadline=None, max_examples=50)
@given(NAMES, NAMES)
def test_a_bag_is_encoded_as_the_text_that_it_is_of(document: str, heading: str) -> None:
    of_texts = ENCODER.encode([document], "passage") + 0.5 * ENCODER.encode([heading], "passage")
    of_bags = passages(ENCODER, [bag(document)], [bag(heading)])
    assert np.allclose(of_bags, of_texts / max(float(np.linalg.norm(of_texts)), 1e-12), atol=1e-6)
