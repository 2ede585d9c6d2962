"""`config`, `list`, `clear`, `doctor`: what is set, what is there, what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from codesearch import config
from codesearch.errors import UsageError
from tests.cli.conftest import Command


def origins(root: Path, environ: dict[str, str], **flags: object) -> dict[str, tuple[object, str]]:
    given = config.resolve(root, {name.replace("_", "-"): value for name, value in flags.items()}, environ)
    return {name: (given[name], given.origins[name]) for name in config.OPTIONS if given.origins[name] != "default"}


def test_what_is_typed_comes_before_the_environment_the_folder_and_the_user(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    environ = {"CODESEARCH_CONFIG": str(own)}
    assert origins(tmp_path, environ) == {}
    own.write_text('limit = 1\ncolor = "never"\nmax-filesize = "2M"\n')
    assert origins(tmp_path, environ)["limit"] == (1, str(own))
    (tmp_path / ".codesearch.toml").write_text("limit = 2\nhidden = true\n")
    environ["CODESEARCH_MIN_SCORE"] = "0.5"
    said = origins(tmp_path, environ)
    assert said == {
        "limit": (2, ".codesearch.toml"),
        "hidden": (True, ".codesearch.toml"),
        "color": ("never", str(own)),
        "max-filesize": (2_000_000, str(own)),
        "min-score": (0.5, "CODESEARCH_MIN_SCORE"),
    }
    environ["CODESEARCH_LIMIT"] = "3"
    assert origins(tmp_path, environ)["limit"] == (3, "CODESEARCH_LIMIT")
    assert origins(tmp_path, environ, limit=4, hidden=False)["limit"] == (4, "--limit")
    assert origins(tmp_path, environ, limit=4, hidden=False)["hidden"] == (False, "--hidden")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('editor = "rm -rf"\n', "editor is for the user to set"),
        ('hyperlink-format = "x://{path}"\n', "hyperlink-format is for the user"),
        ("max-filesize = 100000000\n", "more than 16M"),
        ("limti = 3\n", "Did you mean limit?"),
        ("limit = true\n", "which is no int"),
        ("limit = -1\n", "give a number from 1"),
        ("limit =\n", "can not be read"),
        ("x = " + "[" * 5000 + "\n", "can not be read"),
        ("a = 1\n" * 20_000, "larger than 64 kB"),
    ],
)
def test_a_folder_can_not_set_what_is_the_users_nor_stop_anything(text: str, told: str, tmp_path: Path) -> None:
    environ = {"CODESEARCH_CONFIG": str(tmp_path / "own.toml")}
    (tmp_path / ".codesearch.toml").write_text(text)
    given = config.resolve(tmp_path, {}, environ)
    assert set(given.origins.values()) == {"default"}
    assert any(told in warning for warning in given.warnings)


def test_a_folders_file_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    environ = {"CODESEARCH_CONFIG": str(tmp_path / "own.toml")}
    (tmp_path / "elsewhere").write_text("limit = 3\n")
    (tmp_path / ".codesearch.toml").symlink_to(tmp_path / "elsewhere")
    assert config.resolve(tmp_path, {}, environ)["limit"] == 10
    (tmp_path / ".codesearch.toml").unlink()
    os.mkfifo(tmp_path / ".codesearch.toml")
    assert config.resolve(tmp_path, {}, environ)["limit"] == 10


def test_what_is_wrong_in_the_users_own_file_or_environment_is_an_error(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    environ = {"CODESEARCH_CONFIG": str(own)}
    for name, value in {"MAX_FILESIZE": "lots", "HIDDEN": "maybe", "LIMIT": "0"}.items():
        with pytest.raises(UsageError, match=f"CODESEARCH_{name} is '{value}'"):
            config.resolve(tmp_path, {}, environ | {f"CODESEARCH_{name}": value})
    own.write_text("limti = 3\n")
    with pytest.raises(UsageError, match="Did you mean limit"):
        config.resolve(tmp_path, {}, environ)


def test_a_file_where_the_folder_of_the_users_settings_belongs_is_named(
    tmp_path: Path, codesearch: Command, shop: Path
) -> None:
    (tmp_path / "xdg").mkdir()
    (tmp_path / "xdg/codesearch").touch()
    done = codesearch("ask", "cart", cwd=shop, XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path / 'xdg/codesearch'} is a file and no folder. Rename it" in done.stderr
    assert "TOML" not in done.stderr


def test_config_shows_values_that_can_be_put_into_a_file_and_where_they_come_from(
    tmp_path: Path, codesearch: Command
) -> None:
    import tomllib

    (tmp_path / ".codesearch.toml").write_text("limit = 3\neditor = 'x'\n")
    said = codesearch("config", "--origin", cwd=tmp_path, CODESEARCH_HIDDEN="yes")
    assert tomllib.loads(said.stdout) == {name: option.default for name, option in config.OPTIONS.items()} | {
        "limit": 3,
        "hidden": True,
    }
    assert "limit = 3" in said.stdout and "# .codesearch.toml" in said.stdout and "# CODESEARCH_HIDDEN" in said.stdout
    assert "editor is for the user to set" in said.stderr


def test_settings_of_the_folder_hold_for_a_question(shop: Path, codesearch: Command) -> None:
    (shop / ".codesearch.toml").write_text("limit = 1\nhidden = true\n")
    (shop / ".tools.py").write_text("def zeppelin():\n    return 'flies'\n")
    said = json.loads(codesearch("ask", "zeppelin", "--json", "--min-score", "0", cwd=shop).stdout)
    assert [row["path"] for row in said["results"]] == [".tools.py"]


def test_a_folder_is_listed_when_it_is_indexed_and_not_when_it_is_cleared(shop: Path, codesearch: Command) -> None:
    def listed(state: Path) -> list[dict[str, object]]:
        done = codesearch("list", "--json", cwd=shop, XDG_STATE_HOME=str(state))
        found: list[dict[str, object]] = json.loads(done.stdout)
        assert done.returncode == (0 if found else 1)
        return found

    state = shop.parent / "state"
    assert listed(state) == []
    codesearch("index", "--no-train", cwd=shop, XDG_STATE_HOME=str(state))
    (one,) = listed(state)
    assert (one["root"], one["state"], one["files"]) == (str(shop), "indexed", 4)
    (shop / ".codesearch" / "mine.txt").write_text("kept")
    asked = codesearch("clear", cwd=shop, XDG_STATE_HOME=str(state))
    assert (asked.returncode, "give --yes" in asked.stderr) == (2, True)
    assert codesearch("clear", "-y", cwd=shop, XDG_STATE_HOME=str(state)).returncode == 0
    assert listed(state) == []
    assert [entry.name for entry in (shop / ".codesearch").iterdir()] == ["mine.txt"], "what is not ours stays"
    assert codesearch("clear", "-y", cwd=shop).returncode == 2, "there is none any more"
    (shop / ".codesearch" / "mine.txt").unlink()
    assert codesearch("ask", "retry", "-q", cwd=shop).returncode == 0, "and it can be built again"


def test_doctor_finds_everything_well_and_says_what_is_not(shop: Path, codesearch: Command) -> None:
    said = codesearch("doctor", cwd=shop)
    assert said.returncode == 0, said.stdout
    assert [line.split()[0] for line in said.stdout.splitlines()] == ["ok"] * 10
    codesearch("index", "--no-train", cwd=shop)
    (shop / ".codesearch").chmod(0o755)
    (shop / ".codesearch" / "gen-1" / "model" / "model.onnx").write_bytes(b"")
    said = codesearch("doctor", "--json", cwd=shop)
    assert said.returncode == 2
    wrong = {one["about"]: one for one in json.loads(said.stdout) if one["wrong"]}
    assert set(wrong) == {"folder", "index"}
    assert wrong["folder"]["advice"].startswith("chmod 700")
    assert "builds it again" in wrong["index"]["advice"]
