"""Agreement with the authors: what our in-batch attention makes of numbers that their released code computed.

A reference is an `.npz` file with a small random Llama, one batch, and what came out of it in float32:

    config           the LlamaConfig as JSON, in bytes
    param:<name>     every weight, by its name in LlamaForCausalLM
    ids, mask        (B, L), right-padded
    S, W             (B, B), similarities and their softmax at temperature .1 over the other documents
    loss_pass1, logits_pass1, loss_pass2, logits_pass2     pass 1 alone, pass 2 with in-batch attention
    grad_S           (B, B), gradient of loss_pass2 with respect to S: what trains the retriever

Files come from anywhere, so nothing in them is unpickled.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from codesearch.errors import UsageError
from revela_train.attention import attend, open_to_others, read
from revela_train.revela import document_weights, next_token_loss

TOLERANCE: Final = 1e-4
"""The largest difference that is agreement. Two float32 implementations of this size differ by a few 1e-6."""

TEMPERATURE: Final = 0.1
"""Of the files; at the published 1e-4 most gradients would be zero and agreement with them would show nothing."""

_PARAMETER: Final = "param:"
_INPUTS: Final = ("config", "ids", "mask", "S")
_QUANTITIES: Final = ("W", "loss_pass1", "logits_pass1", "loss_pass2", "logits_pass2", "grad_S")


@dataclass(frozen=True, slots=True)
class Difference:
    """How far we are from one quantity of a file."""

    quantity: str
    """Its key in the file."""
    largest: float
    """The largest absolute difference of an element; of logits, where there is a token. NaN where either has one."""

    @property
    def agrees(self) -> bool:
        """Whether it is within the tolerance; NaN is not."""
        return self.largest <= TOLERANCE


def differences(path: Path, v_norm: bool | None = None, device: torch.device | str = "cpu") -> list[Difference]:
    """Compute what the file at PATH holds, on DEVICE, and return how far we are from it.

    The files do not say whether V-normalisation was on: V_NORM does, or else `vnorm` or `plain` in the file's name.
    Raises UsageError for a file that is no such reference.
    """
    arrays = _load(path)
    if v_norm is None:
        if ("vnorm" in path.stem) == ("plain" in path.stem):
            raise UsageError(f"{path}: its name says neither plain nor vnorm; add --v-norm or --no-v-norm")
        v_norm = "vnorm" in path.stem
    try:
        theirs = {key: torch.from_numpy(array).to(device) for key, array in arrays.items() if key != "config"}
        lm = _model(bytes(arrays["config"]), theirs).to(device)
        ours = _compute(lm, theirs["ids"], theirs["mask"], theirs["S"], v_norm)
        real = theirs["mask"].bool()
        found = []
        for quantity, our in ours.items():
            their = theirs[quantity]
            if our.shape != their.shape:
                raise ValueError(f"{quantity} has the shape {tuple(their.shape)}, not {tuple(our.shape)}")
            apart = (our - their).abs()
            found.append(Difference(quantity, float((apart[real] if "logits" in quantity else apart).max())))
    except Exception as error:
        # A file can be wrong in as many ways as torch and transformers have of refusing a model or a batch.
        raise UsageError(f"{path}: does not fit together: {error}") from error
    return found


def _load(path: Path) -> dict[str, Any]:
    """Return the arrays of PATH, unpickling nothing."""
    try:
        with path.open("rb") as file:  # np.load, given the path, leaves a damaged file open
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise UsageError(f"{path}: one array; a reference is an .npz of several")
            arrays = {key: loaded[key] for key in loaded.files}
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: not an .npz of plain arrays, or damaged: {error}") from error
    if missing := {*_INPUTS, *_QUANTITIES} - arrays.keys():
        raise UsageError(f"{path}: lacks {', '.join(sorted(missing))}; revela_train/reference.py says what belongs in")
    return arrays


def _model(config: bytes, arrays: dict[str, Tensor]) -> LlamaForCausalLM:
    """Return the Llama of CONFIG with the weights in ARRAYS, all of them and no others."""
    parsed = json.loads(config)
    if parsed.get("model_type") != "llama":
        raise ValueError(f"a model of the type {parsed.get('model_type')!r}, not 'llama'")
    lm: LlamaForCausalLM = LlamaForCausalLM(LlamaConfig.from_dict(parsed))
    weights = {key.removeprefix(_PARAMETER): array for key, array in arrays.items() if key.startswith(_PARAMETER)}
    lm.load_state_dict(weights)
    open_to_others(lm)
    lm.train(False)
    return lm


def _compute(lm: LlamaForCausalLM, ids: Tensor, mask: Tensor, scores: Tensor, v_norm: bool) -> dict[str, Tensor]:
    """Return ours of the quantities of a reference, by key."""
    scores = scores.clone().requires_grad_()
    weights = document_weights(scores, TEMPERATURE)
    alone, documents = read(lm, ids, mask)
    together = attend(lm, documents, weights, v_norm=v_norm)
    loss = next_token_loss(together.logits, ids, mask)
    (gradient,) = torch.autograd.grad(loss, scores)
    values = (weights, next_token_loss(alone.logits, ids, mask), alone.logits, loss, together.logits, gradient)
    return {quantity: value.detach() for quantity, value in zip(_QUANTITIES, values, strict=True)}
