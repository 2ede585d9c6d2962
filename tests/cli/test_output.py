"""Every form in which `ask` prints, and which files it lets answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command, write

RETRY = "retry a call with backoff"


def test_vimgrep_gives_line_and_column_of_a_word_of_the_question(indexed: Path, codesearch: Command) -> None:
    line = codesearch("ask", "retry_with_backoff", "--vimgrep", "-n", "1", cwd=indexed).stdout
    assert line == "shop/retry.py:10:5:def retry_with_backoff(call, attempts=5):\n"


def test_names_alone_are_of_distinct_files_best_first_and_nul_keeps_them_whole(
    tmp_path: Path, codesearch: Command
) -> None:
    write(tmp_path, {"a\nb.py": "def zeppelin():\n    return 1\n\n\ndef zeppelin_too():\n    return zeppelin()\n"})
    shown = codesearch("ask", "zeppelin", "-l", cwd=tmp_path).stdout
    assert shown == "a\\x0ab.py\n"
    assert codesearch("ask", "zeppelin", "-l0", cwd=tmp_path).stdout == "a\nb.py\0"
    assert codesearch("ask", "zeppelin", "-0", "-n", "1", cwd=tmp_path).stdout.startswith("a\nb.py\0001:def")


def test_context_is_what_stands_around_the_line_in_the_file(indexed: Path, codesearch: Command) -> None:
    said = codesearch("ask", "retry_with_backoff", "-n", "1", "-B1", "-A", "2", cwd=indexed).stdout
    source = (indexed / "shop/retry.py").read_text().splitlines()
    signs = {9: "-", 10: ":", 11: "-", 12: "-"}
    assert said.splitlines() == [f"shop/retry.py{sign}{n}{sign}{source[n - 1]}" for n, sign in signs.items()]
    more = codesearch("ask", RETRY, "-n", "2", "-C", "1", cwd=indexed).stdout
    assert more.count("\n--\n") == 1


def test_jsonl_is_a_line_a_result_and_one_about_all(indexed: Path, codesearch: Command) -> None:
    lines = [json.loads(line) for line in codesearch("ask", RETRY, "--jsonl", cwd=indexed).stdout.splitlines()]
    whole = json.loads(codesearch("ask", RETRY, "--json", cwd=indexed).stdout)
    *results, summary = lines
    assert [{"type": "result"} | result for result in whole["results"]] == results
    assert (summary["type"], summary["results"], summary["state"]) == ("summary", len(results), "fresh")


def test_every_field_of_json_is_documented_and_nothing_else_is(indexed: Path, codesearch: Command) -> None:
    page = (Path(__file__).parents[2] / "codesearch/README.md").read_text(encoding="utf-8")
    section = page.split("## JSON", 1)[1].split("\n## ", 1)[0]
    documented = set(re.findall(r"^\| `([\w.\[\]]+)`", section, re.MULTILINE))
    said = json.loads(codesearch("ask", RETRY, "--json", "--max-tokens", "400", cwd=indexed).stdout)
    found = set()

    def fields(value: object, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                found.add(f"{name}{key}")
                fields(inner, f"{name}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            fields(value[0], f"{name[:-1]}[].")

    fields(said, "")
    missing = {"omitted"} - found  # only where something is left out
    assert (
        found
        | missing
        | {"answer.callers[].path", "answer.callers[].line", "answer.callers[].symbol"}
        | {"answer.tests[].path", "answer.tests[].line", "answer.tests[].symbol"}
        | {f"{of}.{its}" for of in ("results[]", "answer") for its in ("repository", "commit")}  # of a store
        == documented
    )


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_max_tokens_bounds_what_is_printed_and_gives_whole_code_first(
    form: tuple[str, ...], indexed: Path, codesearch: Command
) -> None:
    much = codesearch("ask", RETRY, *form, "--max-tokens", "5000", cwd=indexed).stdout
    little = codesearch("ask", RETRY, *form, "--max-tokens", "100", cwd=indexed).stdout
    assert len(little) <= 100 * 4 < len(much)
    for said in much, little:
        assert "retry_with_backoff" in said
    assert "raise TimeoutError" in much


def test_quiet_says_it_by_the_exit_code_alone(indexed: Path, codesearch: Command) -> None:
    found = codesearch("ask", RETRY, "-q", cwd=indexed)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    nothing = codesearch("ask", "where did Hannibal cross the Alps", "-q", cwd=indexed)
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (1, "", "")


def test_two_forms_at_once_are_an_error_that_names_them(indexed: Path, codesearch: Command) -> None:
    done = codesearch("ask", RETRY, "--json", "-l", cwd=indexed)
    assert done.returncode == 2
    assert "--json and --files-with-matches" in done.stderr


def paths(said: str) -> set[str]:
    return {row["path"] for row in json.loads(said)["results"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("retry cart query payments", "shop"), {"shop/cart.py", "shop/retry.py"}),
        (("retry cart query payments", "web/query.go", "README.md"), {"web/query.go", "README.md"}),
        (("retry", "cart", "query", "payments", "shop/"), {"shop/cart.py", "shop/retry.py"}),
        (("retry cart query payments", "-t", "go", "-t", "md"), {"web/query.go", "README.md"}),
        (("retry cart query payments", "-T", "py"), {"web/query.go", "README.md"}),
    ],
)
def test_paths_and_types_say_which_files_may_answer(
    arguments: tuple[str, ...], expected: set[str], indexed: Path, codesearch: Command
) -> None:
    done = codesearch("ask", *arguments, "--json", "--min-score", "0", cwd=indexed)
    assert paths(done.stdout) == expected


def test_paths_are_those_of_where_one_stands(indexed: Path, codesearch: Command) -> None:
    asked = ("ask", "retry cart query", "--root", indexed, "--json", "--min-score", "0")
    assert paths(codesearch(*asked, "../web", cwd=indexed / "shop").stdout) == {"web/query.go"}
    for path, why in (("nowhere", "no such file"), ("/", "is not in"), ("tpyes", "no such file")):
        done = codesearch(*asked, path, cwd=indexed)
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    done = codesearch("ask", RETRY, "-t", "pyhton", cwd=indexed)
    assert (done.returncode, "Did you mean python" in done.stderr) == (2, True)


def test_tests_can_be_left_out(tmp_path: Path, codesearch: Command) -> None:
    write(
        tmp_path,
        {
            "bake.py": "def bake(loaf):\n    return loaf.bake()\n",
            "tests/test_bake.py": "from bake import bake\n\n\ndef test_bake():\n    assert bake(loaf)\n",
        },
    )
    assert paths(codesearch("ask", "bake", "--json", cwd=tmp_path).stdout) == {"bake.py", "tests/test_bake.py"}
    assert paths(codesearch("ask", "bake", "--json", "--no-tests", cwd=tmp_path).stdout) == {"bake.py"}


def test_the_answer_says_who_calls_it_and_what_tests_it(tmp_path: Path, codesearch: Command) -> None:
    write(
        tmp_path,
        {
            "bake.py": "def knead_dough(flour):\n    'Knead FLOUR until it is smooth. It is slow.'\n    return flour\n",
            "shop.py": "from bake import knead_dough\n\n\ndef open_shop(flour):\n    return knead_dough(flour)\n",
            "other.py": "# knead_dough is told of here\nBEST = 'knead_dough'\n",
            "tests/test_bake.py": "from bake import knead_dough\n\n\ndef test_smooth():\n    assert knead_dough(2)\n",
        },
    )
    said = json.loads(codesearch("ask", "knead dough until smooth", "--json", cwd=tmp_path).stdout)["answer"]
    assert said == {
        "path": "bake.py",
        "line": 1,
        "symbol": "knead_dough",
        "says": "Knead FLOUR until it is smooth.",
        "callers": [{"path": "shop.py", "line": 4, "symbol": "open_shop"}],
        "tests": [{"path": "tests/test_bake.py", "line": 4, "symbol": "test_smooth"}],
    }


@pytest.mark.parametrize(
    ("environment", "terminal", "colored"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"CLICOLOR": "0"}, True, False),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_used_as_the_environment_says(environment: dict[str, str], terminal: bool, colored: bool) -> None:
    from codesearch.cli import style

    assert style.colored(style.Color.AUTO, terminal, {"TERM": "xterm"} | environment) is colored
    assert style.colored(style.Color.ALWAYS, terminal, environment)
    assert not style.colored(style.Color.NEVER, terminal, environment)


def test_links_take_ripgreps_formats() -> None:
    from codesearch.cli.links import Links
    from codesearch.errors import UsageError

    file = Path("/src/my café/a b.py")
    assert Links("vscode").to(file, 7) == "vscode://file/src/my%20caf%C3%A9/a%20b.py:7:1"
    assert Links("x://{path}?l={line}").to(file, 7) == "x:///src/my%20caf%C3%A9/a%20b.py?l=7"
    assert Links("default").to(file, 7).startswith("file://") and Links("none").to(file, 7) == ""
    for wrong in ("vscdoe", "file://{pth}", "{path}:{line}", "file://{path}\x1b"):
        with pytest.raises(UsageError):
            Links(wrong)


def test_completion_is_offered_for_the_shell(codesearch: Command, tmp_path: Path) -> None:
    said = codesearch(cwd=tmp_path, _CODESEARCH_COMPLETE="complete_bash", COMP_WORDS="codesearch in", COMP_CWORD="1")
    assert set(said.stdout.split()) == {"index", "inspect", "install"}
    assert not list(tmp_path.iterdir())
