"""Progress as clients hear of it: each event as a plain `progress` notification, few enough to show them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from codesearch.events import Adapting, Compacting, Event, Planned, Progress, Trained, Warned

_APART: Final = 0.1
"""Seconds between two reports of the same stage."""


class Reporter:
    """Tells a client of the work on one request, or of what nobody asked for."""

    def __init__(self, id_: str | int | None, send: Callable[[dict[str, Any]], None]) -> None:
        """Report under the id of the request, or null; SEND takes what is reported."""
        self._id = id_
        self._send = send
        self._changing = threading.Lock()
        self._begun = self._ended = False
        self._bytes = 0
        self._stage = "indexing"
        self._last = 0.0

    def listen(self, event: Event | None) -> None:
        """Report EVENT, if it says anything; None is the end."""
        if event is None:
            self.end()
            return
        match event:
            case Planned(files=files, removed=removed, bytes=size):
                if files or removed:
                    self._bytes = size
                    self._say("indexing", f"{files:,} files", percentage=0)
            case Progress(files=files, chunks=chunks, bytes=size, wait=wait):
                share = min(100, round(100 * size / self._bytes)) if self._bytes else None
                self._say("indexing", f"{files:,} files, {chunks:,} chunks{wait}", percentage=share)
            case Compacting() if self._begun:
                self._say("compacting", "compacting")
            case Warned(message=message):
                self._say("warning", message)
            case Adapting(stage=stage):
                self._say("adapting", stage)
            case Trained(steps=steps, progress=share, loss=loss, mrr=mrr, before=before):
                self._say(
                    "training", f"step {steps:,}", percentage=round(100 * share), loss=loss, mrr=mrr, before=before
                )

    def end(self) -> None:
        """Say that it is over, if it was ever begun."""
        with self._changing:
            begun, self._begun = self._begun, False
            if begun:
                self._send({"id": self._id, "kind": "end", "stage": self._stage, "message": ""})

    def _say(self, stage: str, message: str, **figures: float | None) -> None:
        with self._changing:
            now = time.monotonic()
            if self._begun and stage == self._stage and now - self._last < _APART:
                return
            kind = "report" if self._begun else "begin"
            self._begun, self._stage, self._last = True, stage, now
            known = {name: value for name, value in figures.items() if value is not None}
            self._send({"id": self._id, "kind": kind, "stage": stage, "message": message} | known)
