"""A checkpoint: weights and optimiser state as safetensors, where the run stands as JSON beside them.

The JSON is written last and names the tensors' file, so a kill in between leaves the previous checkpoint in force.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save(folder: Path, step: int, model: nn.Module, optimiser: torch.optim.Optimizer, run: dict[str, Any]) -> None:
    """Write where the run stands after STEP steps, then drop older tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    # Copies, because safetensors refuses two names for one storage, as tied weights have.
    tensors = {f"model.{k}": v.clone(memory_format=torch.contiguous_format) for k, v in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v).contiguous() for k, v in state.items()}
    name = f"step-{step}.safetensors"
    save_file(tensors, folder / name)
    partial = folder / "run.json.partial"
    partial.write_text(json.dumps({"step": step, "tensors": name} | run, indent=1), encoding="utf-8")
    partial.replace(folder / "run.json")
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put MODEL and OPTIMISER where the run stood and return its JSON; None where there is no checkpoint."""
    try:
        run: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    tensors = load_file(folder / run["tensors"])
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return run
