"""Kill what is done to an index, again and again: `python -m tests.faults --rounds 500`; exits with 1 if it loses."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.faults.points import DEEDS
from tests.faults.rounds import Rounds, table


def main() -> int:
    """Run the rounds that are asked for, and print a table of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same rounds again")
    parser.add_argument(
        "--deeds", nargs="+", default=DEEDS, choices=DEEDS, help="what is killed; by default everything"
    )
    chosen = parser.parse_args()
    rounds = []
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for number, one in enumerate(Rounds(Path(folder), chosen.seed, tuple(chosen.deeds)).run(chosen.rounds), 1):
            rounds.append(one)
            if one.wrong:
                print(f"round {number}, {one.deed} at {one.point or 'any moment'}: {'; '.join(one.wrong)}", flush=True)
            elif number % 50 == 0:
                print(f"{number} rounds", file=sys.stderr, flush=True)
    print(table(rounds))
    return int(any(one.wrong for one in rounds))


if __name__ == "__main__":
    sys.exit(main())
