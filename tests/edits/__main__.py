"""Many random edit sequences: python -m tests.edits --sequences 1000. Takes a second or two each.

A folder in memory (TMPDIR=/dev/shm) makes it faster. What fails is printed as the shortest sequence that does.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.edits.machine import Edits


def _tell(over: threading.Event, wanted: int) -> None:
    while not over.wait(30):
        print(f"{Edits.sequences:,} of {wanted:,} sequences", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000, help="how many")
    parser.add_argument("--edits", type=int, default=25, help="at most in each")
    given = parser.parse_args()
    started, over = time.monotonic(), threading.Event()
    telling = threading.Thread(target=_tell, args=(over, given.sequences))
    telling.start()
    try:
        run_state_machine_as_test(
            Edits,
            settings=settings(
                max_examples=given.sequences,
                stateful_step_count=given.edits,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        over.set()
        telling.join()
    took = time.monotonic() - started
    print(f"{Edits.sequences:,} sequences, {Edits.compared:,} comparisons, 0 differences in {took:,.0f} s")


if __name__ == "__main__":
    main()
