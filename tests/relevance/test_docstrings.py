"""What the measure takes away from a repository is the documentation of the functions drawn, and it finds them then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.relevance.docstrings import FEWEST, MOST, draw
from tests.relevance.harness import CHECKOUT

PYTHON = '''\
"""Calls that may fail."""
import time


# Networks are fickle.
@traced
def retry(call, times):
    """Calls again, after a pause, until it works or the :data:`times` are used up.

    The pause doubles: "one", 'two', ``four``.
    """
    for attempt in range(times):
        if call():
            return True
        time.sleep(2**attempt)  # """not a docstring"""
    return False


def pause(seconds):
    """Sleeps for a number of seconds."""
    time.sleep(seconds)


def percent(share):
    """Share of the whole in words for people.""" % share
    rounded = round(share)
    if rounded < 0:
        return "none"
    return "some"
'''
GO = """\
// Copyright 2026 Nobody. All rights reserved.

package queue

//go:noinline
// Drain hands every message that is left to the worker.
//
// It blocks until the queue is empty.
func (q *Queue) Drain(worker func(string)) {
	for _, message := range q.messages {
		// hands over
		worker(message)
	}
}
"""
ELIXIR = """\
defmodule Shop.Mail do
  @moduledoc "Mail."

  @doc \"\"\"
  Greets a customer by the language of their country.

      greet(customer)
  \"\"\"
  @spec greet(map) :: String.t()
  def greet(customer) do
    case customer.country do
      "FR" -> "Bonjour"
      _ -> "Hello"
    end
  end
end
"""
JAVASCRIPT = """\
/** Rounds half a cent as the {@link Bank} of the customer does. Twice. */
/* eslint-disable-next-line */
export function round(cents, bank) {
  /** Rounds half a cent. */
  if (bank.even) {
    return cents;
  }
  return Math.round(cents);
}
"""
GONE = {
    "retry.py": (
        '    """Calls again, after a pause, until it works or the :data:`times` are used up.\n\n'
        "    The pause doubles: \"one\", 'two', ``four``.\n"
        '    """\n'
    ),
    "queue.go": (
        "// Drain hands every message that is left to the worker.\n//\n// It blocks until the queue is empty.\n"
    ),
    "mail.ex": ('  @doc """\n  Greets a customer by the language of their country.\n\n      greet(customer)\n  """\n'),
    "round.mjs": "/** Rounds half a cent as the {@link Bank} of the customer does. Twice. */\n",
}
ASKED = {
    "Calls again, after a pause, until it works or the times are used up.": "retry.py",
    "hands every message that is left to the worker.": "queue.go",
    "Greets a customer by the language of their country.": "mail.ex",
    "Rounds half a cent as the Bank of the customer does.": "round.mjs",
}
OTHERS = "anvil bridge candle donkey eagle forest garden harbor"
COPIES = '''\
def first_{0}(kept):
    """The first that was kept here of all."""
    if kept.{0}:
        return kept.{0}
    return None
'''


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with four functions worth asking, some that are not, and eight that make them a sample."""
    root = tmp_path / "repositories" / "shop"
    root.mkdir(parents=True)
    sources = {"retry.py": PYTHON, "queue.go": GO, "mail.ex": ELIXIR, "round.mjs": JAVASCRIPT}
    sources |= {
        f"{word}.py": COPIES.format(word).replace("kept here", f"kept of the {word}") for word in OTHERS.split()
    }
    sources |= {f"same_{number}.py": COPIES.format(f"same{number}") for number in (1, 2)}
    for name, text in sources.items():
        (root / name).write_text(text)
    return root


def test_only_the_documentation_of_what_is_drawn_is_gone(repository: Path, tmp_path: Path) -> None:
    """Comments, decorators, directives, getters, and sentences that stand twice are as they were."""
    copy = tmp_path / "copy"
    drawn = draw(repository, copy, MOST)
    assert {question.query for question in drawn.questions} >= ASKED.keys()
    assert len(drawn.questions) == drawn.candidates == len(ASKED) + len(OTHERS.split())
    for path, gone in GONE.items():
        before, after = (repository / path).read_text().split(gone)
        assert (copy / path).read_text() == before + after
    for path in ("same_1.py", "same_2.py"):
        assert (copy / path).read_text() == (repository / path).read_text()
    assert not (repository / ".codesearch").exists()


def test_a_draw_is_the_same_whatever_else_there_is(repository: Path, tmp_path: Path) -> None:
    few = draw(repository, tmp_path / "few", FEWEST).questions
    (repository / "more.py").write_text(COPIES.format("zebra").replace("kept here", "kept of the zebra"))
    again = draw(repository, tmp_path / "again", FEWEST + 1).questions
    assert len(few) == FEWEST
    assert [q for q in again if "zebra" not in q.query][:FEWEST] == few


def test_the_command_finds_functions_by_what_was_said_of_them(repository: Path, tmp_path: Path) -> None:
    listed = [{"name": "shop", "language": "python", "github": "a/shop", "revision": "0", "root": ""}]
    (tmp_path / "repositories.json").write_text(json.dumps(listed))
    command = [sys.executable, "-m", "tests.relevance.docstrings", str(tmp_path), str(repository.parent)]
    done = subprocess.run(
        [*command, "--run", str(tmp_path / "answers.jsonl")], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    first = {answer["query"]: answer["results"][0]["path"] for answer in answers}
    assert {query: first[query] for query in ASKED} == ASKED
    headline = next(line for line in done.stdout.splitlines() if line.startswith("OVERALL"))
    assert headline.split()[2] == "1.0000" and headline.split()[-1] == "12"
