"""What a run over many repositories may take, in the words of whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How much is done at a time, and how often again. The defaults are those of a laptop and of a cluster."""

    cpus: float = 1.0
    """Processors that Ray reserves for a repository while it is indexed."""
    memory: int = 1_000_000_000
    """Bytes that Ray reserves for it; most take 300 MB, a million lines of code twice that."""
    retries: int = 2
    """How often a repository that failed is tried again, on whichever worker is free, before it is reported."""
    batch: int = 50
    """Repositories that are committed together, at most: what is done again if the driver dies."""
    wait: float = 30.0
    """Seconds after which what has come back is committed, be it a whole batch or not."""
    timeout: float = 600.0
    """Seconds that git may take to fetch a repository."""
