"""A crowd at one workspace, and a table of what came of it: python -m tests.concurrency --processes 24 --minutes 10."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.concurrency.crowd import Crowd
from tests.conftest import SPEAKS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=24, help="at a time")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--modules", type=int, default=60, help="files that are searched, and change")
    parser.add_argument("--rest", type=float, default=15, help="seconds between two bursts of edits, at most")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of what they do; times differ")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    # Short: the path of a server's socket has some hundred bytes at most.
    with tempfile.TemporaryDirectory(prefix="crowd-", ignore_cleanup_errors=True) as folder:
        for name in filter(lambda name: name.startswith(SPEAKS), [*os.environ]):
            del os.environ[name]
        os.environ["HOME"] = folder  # what is of a user, such as the secret that seals an index, is of these here
        told = Crowd(
            Path(folder), processes=given.processes, modules=given.modules, rest=given.rest, seed=given.seed
        ).run(given.minutes * 60)
    print(told.table())
    return 0 if told.well else 1


if __name__ == "__main__":
    sys.exit(main())
