"""What adapting to a repository is worth, and what of it Revela is: the same repositories, trained in several ways.

    python -m tests.relevance.adaptation JUDGEMENTS REPOSITORIES [NAME …] [--ways base pairs both …] [--seeds 0 1 2]
                                         [--wordless] [--budget SECONDS] [--keep]

REPOSITORIES with their history (`lay_out.py --git`), or without: then no commit says anything. Each way is a retriever:

    base        what ships
    pairs       contrastive pairs alone
    revela      Revela alone, with our pointer head and anchor
    both        the default
    no-pointer  both, without the pointer head
    no-words    both, each of Revela's documents its own query
    paper       the paper's objective and nothing else

asked the held-out questions of `codesearch train` (reciprocal ranks of functions, documentation taken away), alone and
through the ranking; then the judged questions of the repository (nDCG@10), alone and ranked. With --wordless every
comment and docstring is taken away before training, there are no questions to say when to stop, and all that were
taken away are asked. Printed are means over the repositories, and of each way less the base, and less pairs, 90 %
bootstrap intervals over them. With --count FILE … the rows of kept runs are counted too, and only the repositories that
are named are trained on: none, to read a kept run again.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from codesearch.bundle import Bundle, load
from codesearch.eval.docstrings import by_lot, strip
from codesearch.eval.heldout import DOCUMENTED, Asked, HeldOut, cut, hold_out, ranks
from codesearch.eval.proof import Part, gain
from codesearch.eval.relevance import DEPTH, Place, score
from codesearch.events import Trained
from codesearch.paths import base_bundle
from codesearch.search import Mode, search
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from revela_train.adaptation import TooLittleError
from revela_train.config import AdaptConfig, Objective
from revela_train.workspace import Attempt, attempt
from tests.relevance.__main__ import questions
from tests.relevance.harness import Question, Repository, keep, parser, repositories

WAYS: Final[Mapping[str, dict[str, Any]]] = {
    "pairs": {"objective": Objective.PAIRS},
    "revela": {"share": 1.0},
    "both": {},
    "no-pointer": {"pointer": False},
    "no-words": {"asked": False},
    "paper": {"objective": Objective.REVELA},
}
BASE: Final = "base"
FIGURES: Final = ("alone", "ranked", "ndcg_alone", "ndcg_ranked", "same", "ndcg_same")
"""Of a row, that a way may gain in; the last two by the weights of an adapted retriever for all."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one retriever did for one repository."""

    repository: str
    way: str
    seed: int
    questions: int
    alone: float
    """Mean reciprocal rank of the held-out questions."""
    ranked: float
    bm25: float
    ndcg_alone: float
    """Of the judged questions."""
    ndcg_ranked: float
    steps: int = 0
    seconds: float = 0.0
    share: float = 0.0
    """Revela's of the gradient."""
    same: float = 0.0
    """`ranked` by the weights of an adapted retriever, whatever the vectors are; 0 in runs kept before it was asked."""
    ndcg_same: float = 0.0
    """The same of `ndcg_ranked`."""
    heard: dict[str, float] | None = None
    """Losses on unseen documents: none, uniform, learned, shuffled, best single."""


def without_words(root: Path, copy: Path) -> HeldOut:
    """Write a COPY of ROOT without comments and docstrings; what is asked are those of functions. No commit is read."""
    most = DOCUMENTED[Part.TEST]
    stripped = strip(root, copy, lambda found: by_lot(found)[:most], wordless=True)
    asked = (
        Asked(one.sentence, tuple((one.path, span) for span in spans), "documentation") for one, spans in stripped.asked
    )
    return HeldOut(copy, cut(copy, Settings()), (), tuple(asked))


def judged(repository: Repository, asked: list[Question], bundle: Bundle, folder: Path) -> tuple[float, float, float]:
    """Return the nDCG@10 of BUNDLE on the judged questions ASKED: alone, ranked, ranked as if it were adapted."""
    root, prefix = repository.scope("root")
    found: dict[tuple[Mode, bool], list[float]] = {
        (Mode.DENSE, False): [],
        (Mode.FUSED, False): [],
        (Mode.FUSED, True): [],
    }
    with Workspace.open(root, Settings(index_dir=folder), model=bundle) as workspace:
        for _ in workspace.index():
            pass
        snapshot = workspace.snapshot()
        for question in asked:
            for (mode, as_adapted), scores in found.items():
                hits, _ = search(snapshot, question.query, DEPTH, mode, as_adapted=as_adapted)
                rows = tuple(Place(prefix + hit.path, hit.span) for hit in hits)
                scores.append(score(rows, question.targets).ndcg)
    alone, ranked, same = map(fmean, found.values())
    return alone, ranked, same


def trained(work: Generator[Any, None, Attempt], say: str) -> Attempt:
    """Carry out WORK, showing how it goes; return what it gave."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            made: Attempt = end.value
            return made
        if isinstance(event, Trained):
            mrr = f"MRR {event.before:.3f} → {event.mrr:.3f}" if event.mrr is not None else ""
            print(f"\r{say}: step {event.steps} {mrr} gain {event.gain or 0:.2f}   ", end="", file=sys.stderr)


def measure(repository: Repository, asked: list[Question], given: Any, base: Bundle, folder: Path) -> Iterator[Row]:
    """Yield what each retriever that was asked for did for REPOSITORY, the base first."""
    root = repository.scope("root")[0]
    settings = Settings()
    held = without_words(root, folder / "copy") if given.wordless else hold_out(root, folder / "copy", settings)

    def row(way: str, seed: int, bundle: Bundle, made: Attempt | None, seconds: float) -> Row:
        place = folder / f"{way}-{seed}"
        found = ranks(held, held.test, bundle, place / "heldout", settings)
        *ndcg, ndcg_same = judged(repository, asked, bundle, place / "judged")
        columns = (found.alone, found.ranked, found.bm25, found.as_adapted)
        *means, same = (fmean(column) if column else 0.0 for column in columns)
        said = Row(repository.name, way, seed, len(held.test), *means, *ndcg, same=same, ndcg_same=ndcg_same)
        if made is not None:
            shares, heard = made.adapted.shares, made.adapted.heard
            said = replace(
                said,
                steps=made.adapted.steps,
                seconds=seconds,
                share=fmean(shares) if shares else 0.0,
                heard=asdict(heard) if heard else None,
            )
        return said

    yield row(BASE, 0, base, None, 0.0)
    for way in given.ways:
        for seed in given.seeds:
            config = AdaptConfig(seed=seed, budget=given.budget, **WAYS[way])
            began = time.monotonic()
            out = folder / f"{way}-{seed}.bundle"
            try:
                made = trained(attempt(held, root, base, config, out), f"{repository.name} {way} {seed}")
            except TooLittleError:  # then the base answers, and that is what counts
                yield row(way, seed, base, None, 0.0)
                continue
            yield row(way, seed, made.bundle, made, time.monotonic() - began)


def main() -> None:
    """Read the arguments, train and ask, and print a table; with --keep, write it down."""
    options = parser("tests.relevance.adaptation", __doc__)
    options.add_argument("--ways", nargs="*", choices=WAYS, default=["both"], help="how to train")
    options.add_argument("--seeds", nargs="*", type=int, default=[0])
    options.add_argument("--wordless", action="store_true", help="take every comment and docstring away")
    options.add_argument("--budget", type=float, help="seconds of training; by default by size")
    options.add_argument("--count", nargs="*", type=Path, default=[], metavar="FILE", help="kept runs to count, too")
    options.add_argument("--base", type=Path, default=base_bundle(), help="the bundle to start from")
    given = options.parse_args()

    started = time.perf_counter()
    rows = [Row(**row) for file in given.count for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
    base = load(given.base)
    chosen = repositories(given.judgements, given.repositories, given.names) if given.names or not rows else []
    for repository in chosen:
        with tempfile.TemporaryDirectory(prefix="adaptation-") as folder:
            asked = questions(given.judgements, repository.name)
            for row in measure(repository, asked, given, base, Path(folder)):
                rows.append(row)
                print(f"\r{line(row)}", flush=True)
    figures = summary(rows)
    print()
    for way, mean in figures["ways"].items():
        print(f"{way:12} {json.dumps(mean)}")
    for name, of in figures["gains"].items():
        print(f"{name}:", ", ".join(f"{k} {v[0]:+.4f} ({v[1]:+.4f} to {v[2]:+.4f})" for k, v in of.items()))
    print(f"peak memory {figures['peak_mb']} MB")
    if given.keep:
        about = {"measure": "adaptation", "wordless": given.wordless, "seeds": given.seeds, "budget": given.budget}
        command = ["tests.relevance.adaptation", *given.names, "--ways", *given.ways, "--seeds", *map(str, given.seeds)]
        command += ["--wordless"] * given.wordless
        name = "adaptation-wordless" if given.wordless else "adaptation"
        keep(name, about, figures, command, started)


def line(row: Row) -> str:
    """Return ROW as a line of the table."""
    heard = row.heard and " ".join(f"{name} {value:.2f}" for name, value in row.heard.items())
    return (
        f"{row.repository:14} {row.way:11} {row.seed}  {row.questions:4} questions  MRR alone {row.alone:.4f} ranked "
        f"{row.ranked:.4f} BM25 {row.bm25:.4f}  nDCG alone {row.ndcg_alone:.4f} ranked {row.ndcg_ranked:.4f}  "
        f"step {row.steps} {row.seconds:.0f} s share {row.share:.2f} {heard or ''}"
    )


def summary(rows: list[Row]) -> dict[str, Any]:
    """Return the means of each way over repositories, what it gains, all rows, and the memory that it took.

    The seeds of one repository count as their mean.
    """
    by_way: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_way[row.way][row.repository].append(row)

    def column(way: str, name: str) -> dict[str, float]:
        return {repository: fmean(getattr(r, name) for r in some) for repository, some in by_way[way].items()}

    def gained(way: str, over: str, name: str) -> tuple[float, float, float]:
        one, other = column(way, name), column(over, name)
        both = sorted(one.keys() & other.keys())
        found = gain([other[r] for r in both], [one[r] for r in both])
        return round(found.mean, 4), round(found.low, 4), round(found.high, 4)

    pairs = [(way, over) for way in by_way for over in (BASE, "pairs") if over in by_way and way not in (BASE, over)]
    return {
        "ways": {
            way: {name: round(fmean(column(way, name).values()), 4) for name in (*FIGURES, "bm25")} for way in by_way
        },
        "gains": {f"{way} - {over}": {name: gained(way, over, name) for name in FIGURES} for way, over in pairs},
        "rows": [asdict(row) for row in rows],
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
    }


if __name__ == "__main__":
    main()
