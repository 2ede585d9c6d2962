"""`codesearch install` adds one entry to somebody else's settings, keeps all else, and leaves alone what is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from codesearch.cli import installing
from codesearch.cli.app import Clients
from codesearch.errors import UsageError
from tests.cli.conftest import write

FILES = {
    "claude": ".claude.json",
    "codex": ".codex/config.toml",
    "cursor": ".cursor/mcp.json",
    "opencode": ".config/opencode/opencode.json",
    "vscode": ".config/Code/User/mcp.json",
    "nvim": ".config/nvim/plugin/codesearch.lua",
}
OTHERS = {
    "claude": '{\n    "numStartups": 3,\n    "other": "é",\n    "mcpServers": {}\n}',
    "codex": '# mine\nmodel = "x"\n\n[mcp_servers.other]\ncommand = "o"\n\n[tui]\ntheme = "dark"\n',
    "cursor": '{\n  "mcpServers": {}\n}\n',
    "opencode": '{\n\t"theme": "x"\n}\n',
    "vscode": '{\n  "inputs": []\n}\n',
    "nvim": "",
}


def entry(client: str, text: str) -> Any:
    said = tomllib.loads(text) if client == "codex" else json.loads(text)
    parents = {"codex": "mcp_servers", "opencode": "mcp", "vscode": "servers"}
    return said[parents.get(client, "mcpServers")]["codesearch"]


@pytest.mark.parametrize("client", FILES)
def test_one_entry_is_added_all_else_stays_and_twice_is_once(client: str, home: Path) -> None:
    file = home / FILES[client]
    for before in {"": None, OTHERS[client]: None}:
        if before:
            file.write_text(before, encoding="utf-8")
        change = installing.change(client)
        assert change.file == file and change.before == before
        removed = [line for line in change.diff() if line.startswith("-") and not line.startswith("---")]
        assert all(line.rstrip().endswith(("}", "]", "{}", '"')) for line in removed), "only a comma is added there"
        change.write()
        text = file.read_text(encoding="utf-8")
        if client != "nvim":
            said = entry(client, text)
            words = said["command"] if client == "opencode" else [said["command"], *said["args"]]
            assert words[1:2] == ["mcp"] and Path(words[0]).exists()
            for kept in ("numStartups", '"é"', "# mine", "theme", "inputs"):
                assert (kept in before) <= (kept in text)
        assert installing.change(client).after == text, "it is there already"


def test_every_client_of_the_command_is_known() -> None:
    assert set(FILES) == set(Clients)


def test_a_newer_shape_of_opencode_is_kept(home: Path) -> None:
    file = home / FILES["opencode"]
    file.parent.mkdir(parents=True)
    file.write_text('{"mcp": {"servers": {"other": {"type": "local", "command": ["o"]}}}}')
    said = json.loads(installing.change("opencode").after)
    assert set(said["mcp"]["servers"]) == {"other", "codesearch"}


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("claude", "{"),
        ("claude", '{"mcpServers": {}, // with a comment\n}'),
        ("claude", "[]"),
        ("claude", '{"mcpServers": []}'),
        ("claude", '{"a": 1, "a": 2}'),
        ("cursor", "[" * 100_000),
        ("codex", "model = "),
        ("codex", 'mcp_servers = { other = { command = "o" } }\n'),
        ("codex", 'mcp_servers = "none"\n'),
        ("codex", '[mcp_servers]\ncodesearch = { command = "mine" }\n'),
        ("nvim", "-- mine\n"),
    ],
)
def test_what_can_not_be_changed_without_harm_is_left_with_advice(client: str, text: str, home: Path) -> None:
    file = home / FILES[client]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    with pytest.raises(UsageError, match="left as it is") as error:
        installing.change(client)
    assert "by hand" in str(error.value) or client == "nvim"
    assert file.read_text() == text


def test_an_old_table_of_codex_is_replaced_and_no_other(home: Path) -> None:
    file = home / FILES["codex"]
    file.parent.mkdir()
    file.write_text('[mcp_servers.codesearch]\ncommand = "old"\nargs = []\n\n[tui]\ntheme = "dark"\n')
    said = tomllib.loads(installing.change("codex").after)
    assert said["tui"] == {"theme": "dark"} and said["mcp_servers"]["codesearch"]["args"] == ["mcp"]


def test_links_and_modes_stay_and_a_file_that_changed_meanwhile_is_not_overwritten(home: Path) -> None:
    real = home / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o600)
    link = home / FILES["claude"]
    link.symlink_to(real)
    installing.change("claude").write()
    assert link.is_symlink() and "codesearch" in real.read_text() and real.stat().st_mode & 0o777 == 0o600
    real.write_text("{}")
    late = installing.change("claude")
    real.write_text('{"new": 1}')
    with pytest.raises(Exception, match="just been changed"):
        late.write()
    assert real.read_text() == '{"new": 1}' and [one.name for one in real.parent.iterdir()] == ["claude.json"]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "codesearch.cli", "install", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def test_the_command_shows_the_change_and_writes_only_when_it_is_told_to(home: Path) -> None:
    file = home / FILES["claude"]
    done = run(home, "claude")
    assert done.returncode == 2 and '+    "codesearch": {' in done.stdout and "give --yes" in done.stderr
    assert not file.exists()
    done = run(home, "claude", "--yes")
    assert done.returncode == 0 and entry("claude", file.read_text())["type"] == "stdio"
    done = run(home, "claude", "--yes")
    assert (done.returncode, done.stdout) == (0, "") and "already" in done.stderr


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim is not installed")
def test_neovim_asks_what_install_has_told_it_of(home: Path, tmp_path: Path) -> None:
    installing.change("nvim").write()
    root = write(tmp_path / "shop").resolve()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    script = tmp_path / "try.lua"
    script.write_text(
        f"vim.cmd('edit {root}/shop/cart.py')\n"
        "local function ready() for _, one in pairs(vim.lsp.buf_get_clients(0)) do return one.initialized end end\n"
        "if not vim.wait(20000, ready) then vim.cmd('cquit') end\n"
        "if not vim.wait(30000, function() vim.lsp.buf.workspace_symbol('retry a failed call')\n"
        "  return vim.wait(3000, function() return #vim.fn.getqflist() > 0 end) end) then vim.cmd('cquit') end\n"
        "io.stdout:write(vim.fn.getqflist()[1].text)\n"
        "vim.lsp.stop_client(vim.lsp.get_active_clients())\nvim.wait(1000)\nvim.cmd('qall!')\n"
    )
    done = subprocess.run(
        ["nvim", "--headless", "-n", "-c", f"luafile {script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0 and "retry_with_backoff" in done.stdout, done.stderr
