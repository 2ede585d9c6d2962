"""Small random checkpoints in transformers' own formats, one a family, each with a tokenizer of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

WORDS: Final = """
def return the of a retry basket total price sum of items close open file read write parse header socket keep session
alive token user cache store key value list map loop for if else not none true false error raise wait backoff attempt
limit color draw line page render text find name path query passage class self init get set add
""".split()

_SHAPE: Final[Mapping[str, Any]] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}

ENCODERS: Final = ("bert", "modernbert", "nomic_bert")
CAUSAL: Final = ("qwen2", "llama")
"""SmolLM2 is a Llama."""


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A word-piece tokenizer that puts around a text what FAMILY's does."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    made.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>"]
    made.train_from_iterator([" ".join(WORDS)] * 3, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special))
    if family in ENCODERS:
        made.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        return PreTrainedTokenizerFast(tokenizer_object=made, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]")
    if family == "llama":
        made.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single="<s> $A", special_tokens=[("<s>", 4)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", pad_token="[PAD]", unk_token="[UNK]")


def write(folder: Path, family: str, *, lm: bool = False) -> Path:
    """Write a checkpoint of FAMILY to FOLDER, as a causal LM if LM; return FOLDER."""
    reads = tokenizer(family)
    shape = {**_SHAPE, "vocab_size": len(reads), "max_position_embeddings": 128}
    if family in CAUSAL:
        shape["num_key_value_heads"] = 2
    if family == "modernbert":
        shape |= {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
        shape |= {"global_attn_every_n_layers": 2, "local_attention": 8, "initializer_cutoff_factor": 2.0}
    prefix = {"bert": "Bert", "modernbert": "ModernBert", "nomic_bert": "NomicBert", "qwen2": "Qwen2", "llama": "Llama"}
    config = getattr(transformers, f"{prefix[family]}Config")(**shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{prefix[family]}{'ForCausalLM' if lm else 'Model'}")(config)
    model.save_pretrained(folder)
    reads.save_pretrained(folder)
    return folder
