"""The commands; see `python -m tests.bench.fleet --help`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description="What a fleet costs, and finds.")
    commands = parser.add_subparsers(dest="command", required=True)

    vectors = commands.add_parser("vectors", help="how vectors of a real store are best indexed")
    vectors.add_argument("store")
    vectors.add_argument("work", type=Path, help="a folder for copies")
    vectors.add_argument("--partitions", type=int, help="in place of the product's")
    vectors.add_argument("--rows", type=int)
    vectors.add_argument("--questions", type=int, default=200)
    vectors.add_argument("--kinds", nargs="+", default=["sq", "rq"])
    vectors.add_argument("--probes", nargs="+", type=int, default=[16, 32, 64])

    recall = commands.add_parser("recall", help="how much of the true nearest a store's own index finds")
    recall.add_argument("store")
    recall.add_argument("--questions", type=int, default=100)

    build = commands.add_parser("build", help="one index, for `vectors`")
    build.add_argument("folder")
    build.add_argument("kind")
    build.add_argument("partitions", type=int)

    run = commands.add_parser("run", help="many repositories into S3's stand-in, against one process")
    run.add_argument("folder", type=Path, help="of bare clones, or any repositories")
    run.add_argument("--count", type=int, default=200)
    run.add_argument("--lock", type=Path, help="a file as of flock(1), that is held while something is measured")

    kills = commands.add_parser(
        "kills", help="the same while drivers and workers are killed, by one and by two drivers"
    )
    kills.add_argument("folder", type=Path, help="of bare clones, or any repositories")
    kills.add_argument("--count", type=int, default=60)
    kills.add_argument("--kills", type=int, default=12, help="for each number of drivers")
    kills.add_argument("--seed", type=int, default=0)
    kills.add_argument("--lock", type=Path, help="as of `run`")

    same = commands.add_parser("same", help="whether a store has what an index of each repository alone has")
    same.add_argument("store")
    same.add_argument("folder", type=Path, help="of the repositories that it was made of")
    same.add_argument("--count", type=int, default=200)

    ask = commands.add_parser("ask", help="what asking a store costs, with and without filters")
    ask.add_argument("store")
    ask.add_argument("--questions", type=int, default=100)

    warm = commands.add_parser("warm", help="what whole commands take, with the store's server and without")
    warm.add_argument("store")
    warm.add_argument("--questions", type=int, default=20)

    judged = commands.add_parser("judged", help="what a store of the judged repositories finds")
    judged.add_argument("store")
    judged.add_argument("judgements", type=Path, help="as of tests.relevance")

    design = commands.add_parser("design", help="the figures of the design page")
    design.add_argument("store")
    design.add_argument("--repositories", type=int, default=100_000, help="in the ledger that is simulated")

    said = parser.parse_args()
    from tests.bench.fleet import vectors as of_vectors

    match said.command:
        case "vectors":
            of_vectors.table(said.store, said.work, said.rows, said.questions, said.kinds, said.probes, said.partitions)
        case "run":
            from tests.bench.fleet.run import table

            sys.exit(not table(said.folder, said.count, os.cpu_count() or 1, said.lock))
        case "kills":
            from tests.bench.fleet.kills import table as of_kills

            sys.exit(not of_kills(said.folder, said.count, said.kills, said.seed, said.lock))
        case "same":
            from tests.bench.fleet.same import table as of_same

            of_same(said.store, said.folder, said.count)
        case "ask":
            from tests.bench.fleet.ask import table as of_asking

            of_asking(said.store, said.questions)
        case "warm":
            from tests.bench.fleet.warm import table as of_commands

            of_commands(said.store, said.questions)
        case "judged":
            from tests.bench.fleet.judged import table as of_questions

            of_questions(said.store, said.judgements)
        case "design":
            from tests.bench.fleet.design import table as of_design

            of_design(said.store, said.repositories)
        case "recall":
            of_vectors.recall(said.store, said.questions)
        case "build":
            of_vectors.build(said.folder, said.kind, said.partitions)


if __name__ == "__main__":
    main()
