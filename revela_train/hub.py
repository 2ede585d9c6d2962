"""Models of others, by a name on Hugging Face's hub or by a folder: found, and refused before any work is lost.

Only data is taken: config.json, safetensors and tokenizer files. A model that brings code of its own, or whose weights
are a pickle, is refused; so is one that would not fit into memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from codesearch.errors import UsageError

_CONFIG: Final = "config.json"
_DATA: Final = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""What is fetched of a repository on the hub; never `*.bin`, never `*.py`."""
_NAME: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """A model's folder and what its config.json says."""

    name: str
    """As the user gave it."""
    folder: Path
    config: PretrainedConfig

    @property
    def family(self) -> str:
        """`bert`, `qwen2` and so on: transformers' model type."""
        return str(self.config.model_type)

    def about(self, file: str) -> dict[str, Any]:
        """Return what the JSON object in FILE of the folder says; nothing where there is none."""
        try:
            said = json.loads((self.folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}


def find(name: str) -> Source:
    """Return the model in the folder NAME, or that of this name on the hub, which is downloaded once.

    Raises:
        UsageError: there is none, it can not be reached, or it is not data alone.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / _CONFIG).is_file():
            raise UsageError(f"{name} holds no {_CONFIG}, so no model of transformers. Name a folder that does.")
    elif folder.exists() or name.startswith((".", "/", "~")) or not _NAME.fullmatch(name):
        raise UsageError(f"{name} is no folder. Name one, or a model on the hub: owner/name.")
    else:
        folder = _downloaded(name)
    config = _config(name, folder)
    if config.is_encoder_decoder:
        raise UsageError(f"{name} is an encoder with a decoder ({config.model_type}); choose one that is either alone.")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(
            f"{name} has no weights as safetensors. Pickled ones run code when they are loaded and are not taken; "
            "choose a model with safetensors, or convert it."
        )
    return Source(name, folder, config)


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    elsewhere = "Name a folder with the model instead."
    try:
        return Path(snapshot_download(name, allow_patterns=_DATA))
    except GatedRepoError as error:
        raise UsageError(
            f"{name} asks for consent on its page on the hub. Give it there, then `hf auth login`. {elsewhere}"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(
            f"{name} is neither a folder nor a model on the hub that you may read. Check the name; for a private one, "
            f"`hf auth login`. {elsewhere}"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise UsageError(
            f"{name} is no folder, it was not downloaded before, and the hub can not be reached. {elsewhere}"
        ) from error


def _config(name: str, folder: Path) -> PretrainedConfig:
    try:
        said = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        own = isinstance(said, dict) and "auto_map" in said
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: {_CONFIG} can not be read: {error}.") from error
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers raises whatever it meets
        if own:
            raise UsageError(f"{name} brings code of its own, which is never run. Choose a built-in family.") from error
        raise UsageError(f"{name} is of no family that the installed transformers knows: {_first(error)}") from error


def load(source: Source, *, lm: bool = False, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Return SOURCE's model without a head, or as a causal LM; dropout is off.

    Raises UsageError where it has none or its files do not fit it.
    """
    kind = AutoModelForCausalLM if lm else AutoModel
    disable_progress_bar()
    try:
        return kind.from_pretrained(
            source.folder,
            config=source.config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        ).eval()
    except Exception as error:
        what = "a causal LM" if lm else "a retriever"
        raise UsageError(f"{source.name} ({source.family}) can not be loaded as {what}: {_first(error)}") from error


def tokenizer(source: Source) -> Tokenizer:
    """Return SOURCE's tokenizer by itself, without padding and truncation.

    Raises UsageError where it has none that the `tokenizers` library runs, which search does.
    """
    try:
        found = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
        made = Tokenizer.from_str(found.backend_tokenizer.to_str())
    except Exception as error:
        raise UsageError(f"{source.name} has no tokenizer that can be used: {_first(error)}") from error
    made.no_padding()
    made.no_truncation()
    return made


@dataclass(frozen=True, slots=True)
class Size:
    """How large a model is."""

    parameters: int
    """Numbers that it is made of."""
    ends: int
    """What goes into its linear layers and what comes out, the head's apart, of one token."""


def size(source: Source, *, lm: bool = False) -> Size:
    """Return how large SOURCE's model is; nothing is loaded."""
    kind = AutoModelForCausalLM if lm else AutoModel
    with torch.device("meta"):
        model: PreTrainedModel = kind.from_config(source.config, trust_remote_code=False)
    head = model.get_output_embeddings() if lm else None
    linear = [part for part in model.modules() if isinstance(part, nn.Linear) and part is not head]
    return Size(
        sum(one.numel() for one in model.parameters()), sum(part.in_features + part.out_features for part in linear)
    )


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on DEVICE; None where that can not be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
