"""A checkpoint: weights and optimiser state as safetensors, where the run stands as JSON beside them.

The JSON is written last and names the tensors' file, so a kill in between leaves the previous checkpoint in force.

A copy may be kept at a URI, such as s3://…: a Lance table of its files in pieces, replaced by one commit, so that
another machine can go on. Credentials are the engine's affair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from codesearch.errors import UsageError
from codesearch.fleet.failures import storing

_RUN: Final = "run.json"
_TABLE: Final = "checkpoint"
_PIECE: Final = 32 << 20
"""Bytes of a row, and so of memory."""
_PIECES: Final = pa.schema([("name", pa.string()), ("place", pa.int64()), ("content", pa.large_binary())])


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
    partial.replace(folder / _RUN)
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put MODEL and OPTIMISER where the run stood and return its JSON; None where there is no checkpoint."""
    try:
        run: dict[str, Any] = json.loads((folder / _RUN).read_text(encoding="utf-8"))
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


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the checkpoints of a run are: in a folder, with a copy where another machine finds it."""

    folder: Path
    uri: str

    def save(self, step: int, model: nn.Module, optimiser: torch.optim.Optimizer, run: dict[str, Any]) -> None:
        """Write where the run stands, as `save` does, to both."""
        save(self.folder, step, model, optimiser, run)
        with storing(self.uri):
            send(self.folder, self.uri)

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put MODEL and OPTIMISER where the run stood by the later of both, as `load` does."""
        with storing(self.uri):
            fetch(self.folder, self.uri)
        return load(self.folder, model, optimiser)


def send(folder: Path, uri: str) -> None:
    """Put the checkpoint in FOLDER at URI, in place of the one there."""
    from codesearch.store import connect

    run = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    reader = pa.RecordBatchReader.from_batches(_PIECES, _pieces(folder, [_RUN, run["tensors"]]))
    table = connect(uri).create_table(_TABLE, reader, mode="overwrite")
    table.optimize(cleanup_older_than=timedelta(minutes=1))


def _pieces(folder: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    for name in names:
        with (folder / name).open("rb") as file:
            for place, content in enumerate(iter(lambda: file.read(_PIECE), b"")):
                yield pa.RecordBatch.from_pydict({"name": [name], "place": [place], "content": [content]}, _PIECES)


def fetch(folder: Path, uri: str) -> bool:
    """Put the checkpoint at URI into FOLDER, unless that has one as late or there is none; tell whether it did.

    Raises:
        UsageError: what is at URI can not be read.
    """
    from codesearch.store import col, connect, opened

    try:
        table = opened(connect(uri), _TABLE)
    except ValueError as error:  # to begin anew because a store did not answer would throw a run away
        raise UsageError(f"{uri} can not be read: {error}. Check the address and the credentials.") from error
    if table is None:
        return False
    table.checkout(table.version)  # not what is put there meanwhile

    def content(name: str) -> Iterator[bytes]:
        places = table.search().where(col("name") == name).select(["place"]).to_arrow()["place"].to_pylist()
        for place in sorted(places):
            query = table.search().where((col("name") == name) & (col("place") == place)).select(["content"])
            yield query.to_arrow()["content"][0].as_py()

    run = json.loads(b"".join(content(_RUN)))
    here = folder / _RUN
    if here.exists() and json.loads(here.read_text(encoding="utf-8"))["step"] >= run["step"]:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(run["tensors"]).name
    with (folder / name).open("wb") as file:
        file.writelines(content(name))
    partial = folder / f"{_RUN}.partial"
    partial.write_text(json.dumps(run, indent=1), encoding="utf-8")
    partial.replace(here)
    return True
