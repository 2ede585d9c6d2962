"""Below an indexed folder its index answers, narrowed to where one stands, with paths as seen from there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from codesearch import nearest
from codesearch.workspace import Workspace
from tests.cli.conftest import Command, write


def asked(codesearch: Command, folder: Path, *arguments: str, **environment: str) -> list[str]:
    done = codesearch("ask", *arguments, "--json", "--min-score", "0", cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    return [one["path"] for one in json.loads(done.stdout)["results"]]


def test_the_index_above_answers_for_the_part_one_stands_in(shop: Path, codesearch: Command) -> None:
    (shop / "shop/new").mkdir()
    assert codesearch("index", "--no-train", cwd=shop).returncode == 0
    assert {path.partition("/")[0] for path in asked(codesearch, shop, "cart")} == {"README.md", "shop", "web"}
    assert set(asked(codesearch, shop / "shop", "cart")) == {"cart.py", "retry.py"}
    assert asked(codesearch, shop / "shop", "cart of the shop", "../web") == ["../web/query.go"]
    (shop / "shop/new/anchor.py").write_text("def weigh_anchor():\n    return 1\n")
    assert asked(codesearch, shop / "shop/new", "weigh anchor") == ["anchor.py"]
    said = json.loads(codesearch("status", "--json", cwd=shop / "shop").stdout)
    assert said["root"] == str(shop.resolve())
    assert not list(shop.glob("*/**/.codesearch"))


def test_an_index_that_is_kept_elsewhere_is_found_too(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "elsewhere"
    monkeypatch.setenv("CODESEARCH_HOME", str(home))
    with Workspace.open(shop) as workspace:
        for _ in workspace.index():
            pass
    inside = str((shop / "shop").resolve())
    assert nearest.indexed(inside, str(home)) == str(shop.resolve())
    assert nearest.indexed(inside) == inside


def test_lines_and_what_is_related_are_found_by_what_reads_them(shop: Path, codesearch: Command) -> None:
    assert codesearch("index", "--no-train", cwd=shop).returncode == 0
    done = codesearch("ask", "sum the prices of all items", "-n", "1", "-B", "1", cwd=shop / "shop")
    assert [line.partition("    ")[0] for line in done.stdout.splitlines()] == ["cart.py-12-", "cart.py:13:"]
    said = json.loads(codesearch("related", "cart.py:11", "--json", cwd=shop / "shop").stdout)
    assert said["path"] == "cart.py"
    assert all((shop / "shop" / one["path"]).is_file() for one in said["related"])


def test_what_is_a_repository_of_its_own_or_left_out_or_named_has_its_own_index(
    shop: Path, codesearch: Command
) -> None:
    write(shop / "ignored", {"plan.py": "def plan():\n    return 1\n"})
    (shop / ".ignore").write_text("/ignored/\n")
    nested = write(shop / "nested", {"inner.py": "def inner():\n    return 1\n"})
    subprocess.run(["git", "init", "-q", nested], check=True)
    assert codesearch("index", "--no-train", cwd=shop).returncode == 0
    for folder, expected in (("ignored", "plan.py"), ("nested", "inner.py")):
        assert asked(codesearch, shop / folder, expected.removesuffix(".py")) == [expected]
        assert (shop / folder / ".codesearch").is_dir()
    assert set(asked(codesearch, shop, "parse the query", "--root", "web")) == {"query.go"}
    assert (shop / "web/.codesearch").is_dir()
    # From now on that is the nearest.
    assert json.loads(codesearch("status", "--json", cwd=shop / "web").stdout)["root"] == str((shop / "web").resolve())
