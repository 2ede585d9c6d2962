"""An index follows any edits: some dozen sequences, the same ones each time. More: python -m tests.edits."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.edits.machine import Edits

TestEdits = Edits.TestCase
TestEdits.settings = settings(
    max_examples=30,
    stateful_step_count=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
