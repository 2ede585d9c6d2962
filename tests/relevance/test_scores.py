"""The figures are those of the public benchmark's rules, to the last digit."""

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from codesearch.eval.relevance import Place, Score, Target, mean, score
from codesearch.types import Span

JUDGEMENTS = os.environ.get("CODESEARCH_JUDGEMENTS")
"""A folder with judgements and their own score.py, where this machine has one."""


def place(path: str, start: int = 1, end: int = 9) -> Place:
    return Place(path, Span(start, end))


def test_a_target_on_top_is_perfect_and_each_row_below_costs_by_its_logarithm() -> None:
    assert score([place("a"), place("b")], [Target("a")]) == Score(1.0, 1.0, 1.0)
    assert score([place("b"), place("a")], [Target("a")]) == Score(1 / math.log2(3), 1.0, 0.5)


def test_two_chunks_of_one_file_take_two_rows_and_gain_once() -> None:
    rows = [place("a", 1, 5), place("a", 6, 9), place("b")]
    ideal = 1 + 1 / math.log2(3)
    assert score(rows, [Target("a"), Target("b")]) == Score((1 + 1 / math.log2(4)) / ideal, 1.0, 1.0)


def test_a_target_with_lines_is_found_only_where_they_overlap() -> None:
    target = Target("a", Span(10, 20))
    assert score([place("a", 1, 9)], [target]) == Score(0.0, 0.0, 0.0)
    assert score([place("a", 1, 10)], [target]).ndcg == score([place("a", 20, 30)], [target]).ndcg == 1.0


def test_one_row_that_finds_two_targets_gains_once() -> None:
    both = [Target("a", Span(1, 4)), Target("a", Span(5, 9))]
    assert score([place("a", 1, 9)], both) == Score(1 / (1 + 1 / math.log2(3)), 1.0, 1.0)


def test_the_eleventh_row_counts_for_nothing() -> None:
    rows = [place(str(i)) for i in range(11)]
    assert score(rows, [Target("9")]).mrr == 0.1
    assert score(rows, [Target("10")]) == Score(0.0, 0.0, 0.0)


def test_the_mean_is_taken_figure_by_figure() -> None:
    assert mean([Score(1.0, 0.5, 1.0), Score(0.0, 0.5, 0.5)]) == Score(0.5, 0.5, 0.75)


@pytest.mark.skipif(not JUDGEMENTS, reason="CODESEARCH_JUDGEMENTS names no folder of judgements with a score.py")
def test_scores_agree_digit_for_digit_with_the_judges_own_program(tmp_path: Path) -> None:
    """Rankings drawn at random from each repository's judged files, some of them its targets."""
    folder = Path(str(JUDGEMENTS))
    drawn = random.Random(7)
    expected, lines = [], []
    for repository in json.loads((folder / "repositories.json").read_text(encoding="utf-8")):
        name = repository["name"]
        tasks = json.loads((folder / "judgements" / f"{name}.json").read_text(encoding="utf-8"))
        paths = sorted({target["path"] for task in tasks for target in task["targets"]})
        for task in tasks:
            rows = [place(drawn.choice(paths), start := drawn.randrange(1, 400), start + 40) for _ in range(12)]
            targets = [
                Target(t["path"], Span(t["start_line"], t["end_line"]) if "start_line" in t else None)
                for t in task["targets"]
            ]
            expected.append((name, task["query"], score(rows, targets)))
            said = [{"path": r.path, "start_line": r.span.start_line, "end_line": r.span.end_line} for r in rows]
            lines.append(json.dumps({"repo": name, "query": task["query"], "results": said}))
    run = tmp_path / "run.jsonl"
    run.write_text("\n".join(lines), encoding="utf-8")
    judged = json.loads(
        subprocess.run(
            [sys.executable, str(folder / "score.py"), str(run), "--json"], capture_output=True, check=True
        ).stdout
    )
    theirs = [(q["repo"], q["query"], Score(q["ndcg"], q["recall"], q["mrr"])) for q in judged["per_query"]]
    assert expected == theirs
    repositories = {name for name, _, _ in expected}
    headline = mean(mean(s for n, _, s in expected if n == name) for name in sorted(repositories))
    assert headline == Score(**judged["overall"])
