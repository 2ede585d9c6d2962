"""Many random edit sequences: python -m tests.edits --sequences 1000. Takes a second or two each."""

from __future__ import annotations

import argparse
import time

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.edits.machine import Edits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000, help="how many")
    parser.add_argument("--edits", type=int, default=25, help="at most in each")
    given = parser.parse_args()
    started = time.monotonic()
    run_state_machine_as_test(
        Edits,
        settings=settings(
            max_examples=given.sequences,
            stateful_step_count=given.edits,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.normal,
        ),
    )
    took = time.monotonic() - started
    print(f"{given.sequences:,} sequences, {Edits.compared:,} comparisons, 0 differences in {took:,.0f} s")


if __name__ == "__main__":
    main()
