"""Work that is killed: at the Nth call of a named function, before or after it, or from outside at a random moment.

Victims are forked from a server that has the libraries loaded and has used none of them, so that a round costs the work
alone; the product has no hooks.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import codesearch.confidence
import codesearch.encode
import codesearch.store  # noqa: F401
from codesearch import generations
from codesearch.workspace import Workspace
from tests.faults import world
from tests.faults.points import POINTS

warnings.filterwarnings("ignore", "lancedb fork support")


MARK: Final = "FAULTS_VICTIM"
"""Set to the repository, in the environment of what a victim starts."""


def do(deed: str, root: Path, seed: int) -> None:
    """Do one DEED to ROOT, whose files have been changed as it needs."""
    from codesearch import index, prepare, store

    index._COMMIT, prepare._BATCH_FILES = 24, 6  # several commits, so that there is something to fall between
    if deed == "optimise":
        store._FRAGMENTS, store._UNINDEXED = 1, 1
    with Workspace.open(root) as workspace:
        match deed:
            case "index" | "refresh" | "optimise":
                world.finish(workspace.index(workers=0))
            case "share":
                world.finish(workspace.index(workers=2))
            case "swap":
                world.finish(workspace.index(workers=0, rebuild=True))
            case "clear":
                generations.clear(workspace.layout, 5)
            case "adapt" | "export":
                _adapt(workspace, seed)


def _adapt(workspace: Workspace, seed: int) -> None:
    """Train by the product's own way, but for what takes minutes: a step at random is learnt, and taken for better."""
    import numpy as np
    import torch

    from codesearch.eval import heldout, proof
    from revela_train import workspace as training
    from revela_train.adaptation import Adapted
    from revela_train.config import AdaptConfig, Objective

    def adapt(retriever: Any, *_: Any) -> Any:
        yield from ()
        with torch.no_grad():
            step = np.random.default_rng(seed).normal(0, 0.01, retriever.vectors.shape)
            retriever.vectors += torch.from_numpy(step.astype(np.float32))
        return Adapted(retriever, 1, 0.0, 0.0, 0.0)

    prove = training.prove

    def accept(*args: Any) -> Any:
        found = prove(*args)
        return heldout.Proof(proof.Verdict(True, "taken for better", 99), found.figures)

    training.adapt, training.prove, training.FEWEST = adapt, accept, 0  # type: ignore[assignment]
    world.finish(training.train(workspace, AdaptConfig(objective=Objective.PAIRS)))


def _wrapped(point: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module, _, path = point.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    held = owner.__dict__[name]
    if isinstance(held, classmethod):
        setattr(owner, name, classmethod(around(held.__func__)))
    else:
        setattr(owner, name, around(held))


def _mortal(when: str, wanted: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    calls = 0

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def dying(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            here = calls == wanted
            if here and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*args, **kwargs)
            finally:
                if here:
                    os.kill(os.getpid(), signal.SIGKILL)

        return dying

    return around


def die(ready: Any, deed: str, root: Path, seed: int, point: str, when: str, wanted: int) -> None:
    """Do DEED and, if POINT names one, die there; READY is told when the work begins."""
    _quiet()
    os.environ[MARK] = str(root)
    if point:
        _wrapped(point, _mortal(when, wanted))
    ready.send(None)
    do(deed, root, seed)


def rehearse(deed: str, root: Path, seed: int, counted: Path) -> None:
    """Do DEED to its end, and write to the file COUNTED how often it passes each of its points, and its seconds."""
    _quiet()
    calls = dict.fromkeys(POINTS[deed], 0)

    def counting(point: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def around(function: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(function)
            def counted(*args: Any, **kwargs: Any) -> Any:
                calls[point] += 1
                return function(*args, **kwargs)

            return counted

        return around

    for point in POINTS[deed]:
        _wrapped(point, counting(point))
    began = time.monotonic()
    do(deed, root, seed)
    counted.write_text(json.dumps([calls, time.monotonic() - began]))


def judge(said: Any, root: Path, answered: bool, clear: bool) -> None:
    """Send what was lost of ROOT's index, and if it is to be CLEARed, of the clearing."""
    _quiet()
    try:
        wrong = world.lost(root, answered=answered)
        if clear:
            wrong += world.cleared(root)
    except Exception as error:
        wrong = [f"{type(error).__name__}: {error}"]
    said.send(wrong)


def change(root: Path, seed: int, most: int) -> None:
    """Change files of ROOT."""
    world.edit(root, random.Random(seed), most)


def _quiet() -> None:
    warnings.simplefilter("ignore")
    sys.stderr.flush()
