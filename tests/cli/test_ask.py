"""What `codesearch ask` answers, where it prints it, and how it exits."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command

RETRY = "retry a call with backoff"


def test_the_first_question_builds_the_index_and_later_ones_are_quiet(shop: Path, codesearch: Command) -> None:
    first = codesearch("ask", RETRY, "-n", "1", cwd=shop)
    assert first.returncode == 0
    assert first.stdout.startswith("shop/retry.py:")
    assert "indexed 4 files" in first.stderr
    second = codesearch("ask", "retry", "a", "call", "with", "backoff", "-n", "1", cwd=shop)
    assert (second.stdout, second.stderr) == (first.stdout, "")


def test_piped_results_are_path_line_text_of_lines_that_are_there(indexed: Path, codesearch: Command) -> None:
    lines = codesearch("ask", "sum the prices with tax", cwd=indexed).stdout.splitlines()
    assert lines
    for line in lines:
        path, number, text = line.split(":", 2)
        assert (indexed / path).read_text().splitlines()[int(number) - 1] == text


def test_json_is_one_object_of_the_documented_shape(indexed: Path, codesearch: Command) -> None:
    done = codesearch("ask", RETRY, "--json", cwd=indexed)
    said = json.loads(done.stdout)
    assert list(said) == ["version", "query", "state", "indexed", "ms", "confidence", "results", "answer"]
    assert (said["version"], said["query"], said["state"]) == (1, RETRY, "fresh")
    assert said["ms"] > 0
    assert 0.9 < said["confidence"] <= 1
    assert [r["rank"] for r in said["results"]] == list(range(1, len(said["results"]) + 1))
    best = said["results"][0]
    source = (indexed / "shop/retry.py").read_text()
    assert sum(part["worth"] for part in best["reasons"]) == pytest.approx(best["score"], abs=1e-4)
    assert best | {"score": 1, "id": "", "text": "", "reasons": []} == {
        "rank": 1,
        "score": 1,
        "id": "",
        "path": "shop/retry.py",
        "start_line": 10,
        "end_line": 17,
        "language": "python",
        "kind": "function",
        "symbol": "retry_with_backoff",
        "text": "",
        "copies": [],
        "reasons": [],
    }
    assert best["text"] == "\n".join(source.splitlines()[9:17])
    scores = [r["score"] for r in said["results"]]
    assert scores == sorted(scores, reverse=True)


def test_the_root_is_the_scope_and_paths_are_relative_to_it(indexed: Path, tmp_path: Path, codesearch: Command) -> None:
    asked = ("ask", RETRY, "--json", "-n", "1")
    there = json.loads(codesearch(*asked, cwd=indexed).stdout)["results"]
    assert json.loads(codesearch(*asked, "--root", indexed, cwd=tmp_path).stdout)["results"] == there
    inner = codesearch(*asked, "--root", indexed / "shop", "--index-dir", tmp_path / "index", cwd=tmp_path)
    assert json.loads(inner.stdout)["results"][0]["path"] == "retry.py"


def test_explain_prints_the_sum_that_was_made(indexed: Path, codesearch: Command) -> None:
    said = codesearch("ask", RETRY, "--explain", "-n", "1", cwd=indexed).stdout
    first, *parts, total, _ = said.splitlines()
    assert first == "1. shop/retry.py:10  retry_with_backoff"
    assert sum(float(part.split()[0]) for part in parts) == pytest.approx(float(total.split()[0]), abs=0.1)
    assert total.endswith("in all")
    assert any("the rare ones above all" in part for part in parts)


def test_filters_and_the_limit_hold(indexed: Path, codesearch: Command) -> None:
    options = ("--lang", "py", "--lang", "Go", "--glob", "shop/", "-g", "query.go", "-g", "!retry*", "-n", "5")
    done = codesearch("ask", "parse query parameters of a retry, cart, payments", "--json", *options, cwd=indexed)
    paths = [row["path"] for row in json.loads(done.stdout)["results"]]
    assert set(paths) == {"shop/cart.py", "web/query.go"}
    assert 2 < len(paths) <= 5


FOREIGN = ("how long to rest the dough before baking", "asdkjh qwe zxlk", "where did Hannibal cross the Alps", "🍕")


@pytest.mark.parametrize("question", FOREIGN)
def test_what_nothing_here_answers_is_said_to_be_so(question: str, indexed: Path, codesearch: Command) -> None:
    done = codesearch("ask", question, cwd=indexed)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing here seems to answer that" in done.stderr
    said = json.loads(codesearch("ask", question, "--json", "--min-score", "0", cwd=indexed).stdout)
    assert said["confidence"] < 0.2
    strict = codesearch("ask", RETRY, "--min-score", "1", cwd=indexed)
    assert (strict.returncode, strict.stdout) == (1, ""), "nothing is as sure as that"


def test_nothing_found_is_exit_1_and_no_output(indexed: Path, codesearch: Command) -> None:
    done = codesearch("ask", RETRY, "--lang", "haskell", cwd=indexed)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_batch_answers_each_line_as_a_question_alone(indexed: Path, codesearch: Command) -> None:
    questions = [RETRY, "sum the prices with tax", "split a query string"]
    lines = "".join(json.dumps({"query": q}) + "\n" for q in questions)
    (indexed.parent / "questions.jsonl").write_text(lines)
    from_file = codesearch("ask", "--batch", indexed.parent / "questions.jsonl", "--root", indexed, cwd=indexed)
    from_pipe = codesearch("ask", "--batch", "-", cwd=indexed, stdin=lines)
    answers = [json.loads(line) for line in from_file.stdout.splitlines()]
    assert [answer["query"] for answer in answers] == questions
    assert [a["results"] for a in answers] == [json.loads(line)["results"] for line in from_pipe.stdout.splitlines()]
    alone = json.loads(codesearch("ask", questions[1], "--json", cwd=indexed).stdout)
    del alone["answer"]  # which many questions are not slowed down for
    assert answers[1] | {"ms": 0} == alone | {"ms": 0}


def test_a_bad_line_of_a_batch_is_named_and_earlier_answers_stand(indexed: Path, codesearch: Command) -> None:
    done = codesearch("ask", "--batch", "-", cwd=indexed, stdin='{"query": "cart"}\n\n{"question": "cart"}\n')
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    assert "-:3" in done.stderr and '{"query"' in done.stderr


def test_each_search_answers_alone_for_measuring(indexed: Path, codesearch: Command) -> None:
    def scores(mode: str) -> list[float]:
        said = codesearch("ask", "value added tax", "--json", "--mode", mode, cwd=indexed).stdout
        return [row["score"] for row in json.loads(said)["results"]]

    text, dense, fused = scores("text"), scores("dense"), scores("fused")
    assert 0 < len(text) < len(dense), "only some chunks hold a word of the question, all have a meaning"
    assert fused[0] > max(text[0], dense[0])


def test_what_changed_is_found_at_once_and_what_went_is_not(shop: Path, codesearch: Command) -> None:
    def asked(question: str) -> list[tuple[str, str]]:
        rows = json.loads(codesearch("ask", question, "--json", "--mode", "text", cwd=shop).stdout)["results"]
        return [(row["path"], row["symbol"]) for row in rows]

    assert asked("retry backoff")[0] == ("shop/retry.py", "retry_with_backoff")
    (shop / "web/zip.py").write_text("def unpack_zeppelin(archive):\n    return archive.open()\n")
    (shop / "shop/retry.py").unlink()
    assert asked("zeppelin") == [("web/zip.py", "unpack_zeppelin")]
    assert "shop/retry.py" not in dict(asked("retry backoff"))
    (shop / "web/zip.py").write_text("# moved\n\n\ndef unpack_balloon(archive):\n    return archive.open()\n")
    assert asked("balloon") == [("web/zip.py", "unpack_balloon")]
    assert asked("zeppelin") == []


def test_while_another_process_indexes_the_answer_comes_from_the_index_there_is_and_says_so(
    shop: Path, codesearch: Command
) -> None:
    from filelock import FileLock

    codesearch("index", cwd=shop)
    (shop / "new.py").write_text("def zeppelin():\n    return 'flies'\n")
    with FileLock(shop / ".codesearch" / "lock"):
        done = codesearch("ask", RETRY, "--json", "-n", "1", cwd=shop)
    said = json.loads(done.stdout)
    assert (done.returncode, said["state"], said["results"][0]["path"]) == (0, "files", "shop/retry.py")
    assert "may be out of date" in done.stderr


def test_a_reader_that_stops_reading_is_no_error(indexed: Path, script: str, surroundings: dict[str, str]) -> None:
    lines = '{"query": "cart"}\n' * 200
    with subprocess.Popen(
        [script, "ask", "--batch", "-"],
        cwd=indexed,
        env=surroundings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(lines)
        process.stdin.close()
        assert process.stdout.readline().startswith('{"version": 1')
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
