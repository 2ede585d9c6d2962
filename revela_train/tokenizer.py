"""The subword tokenizer: WordPiece over the words that `codesearch.text.words` gives.

Its input is already lower-cased and split at camelCase, snake_case and punctuation, so pre-tokenising is splitting at
blanks, and a word's pieces do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

UNKNOWN: Final = "[UNK]"


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """Return a tokenizer of at most SIZE pieces learnt from TEXTS (words joined by blanks). Piece 0 is unknown."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=40))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[UNKNOWN], limit_alphabet=400, min_frequency=5, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def of_lm() -> Tokenizer:
    """Return the tokenizer of the LM that comes with the package."""
    return Tokenizer.from_file(str(Path(__file__).parent / "models" / "lm" / "tokenizer.json"))
