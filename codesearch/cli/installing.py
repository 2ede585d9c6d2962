"""What `install` does: tells an agent or editor about codesearch in its own settings, after showing the change.

Each file belongs to somebody else: all that is in it stays, what can not be read is not touched, and it is replaced in
one step or not at all. Where a change would lose anything, what to write by hand is said instead.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codesearch.errors import StorageError, UsageError

_NAME: Final = "codesearch"
_MAX_BYTES: Final = 64 << 20
"""Claude's file holds histories, too."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of one file."""

    file: Path
    before: str
    after: str
    what: str
    """What the client does with it, in a sentence."""

    def diff(self) -> Iterator[str]:
        """Yield the change as lines of a diff."""
        name, before, after = str(self.file), self.before.splitlines(), self.after.splitlines()
        yield from difflib.unified_diff(before, after, name, name, lineterm="")

    def write(self) -> None:
        """Replace the file.

        Raises:
            StorageError: it can not be written, or is another by now.
        """
        try:
            if _text(self.file) != self.before:
                raise StorageError(f"{self.file} has just been changed. Run the command again.")
            _replace(self.file, self.after)
        except OSError as error:
            raise StorageError(f"{self.file} can not be written: {error.strerror}.") from error


def change(client: str) -> Change:
    """Return what is to be changed for CLIENT.

    Raises:
        UsageError: its settings can not be read, or hold something else under our name's parent.
    """
    make, file, what = _CLIENTS[client]
    found = file()
    # A dotfile is often a link into a repository of dotfiles, and is to stay one.
    found = found.resolve() if found.is_symlink() else found
    before = _text(found)
    return Change(found, before, make(before, found), what)


def command(*arguments: str) -> list[str]:
    """Return how this installation is started from anywhere."""
    script = Path(sys.executable).with_name(f"{_NAME}.exe" if os.name == "nt" else _NAME)
    start = [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "codesearch.cli"]
    return [*start, *arguments]


def _stdio(*arguments: str) -> dict[str, Any]:
    first, *rest = command("mcp", *arguments)
    return {"command": first, "args": rest}


def _in_json(before: str, file: Path, path: tuple[str, ...], entry: Any) -> str:
    """Return the text BEFORE of a JSON file with ENTRY at PATH."""
    by_hand = f"Add this by hand, at {'.'.join(path)}: {json.dumps(entry)}"
    said: Any = {}
    if before.strip():
        try:
            said = json.loads(before, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file} is no plain JSON: {error}. It is left as it is. {by_hand}") from error
    at = said
    for name in path[:-1]:
        if not isinstance(at, dict) or not isinstance(at.setdefault(name, {}), dict):
            raise UsageError(f"{file} has something unexpected at {name}. It is left as it is. {by_hand}")
        at = at[name]
    if not isinstance(at, dict):
        raise UsageError(f"{file} holds no JSON object. It is left as it is. {by_hand}")
    if at.get(path[-1]) == entry:
        return before
    at[path[-1]] = entry
    indent = re.search(r"^[{\[]\r?\n([ \t]+)", before)
    after = json.dumps(said, indent=indent[1] if indent else 2, ensure_ascii=False)
    return after + "\n" if before.endswith("\n") or not before else after


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a name is there twice")
    return said


def _claude(before: str, file: Path) -> str:
    return _in_json(before, file, ("mcpServers", _NAME), {"type": "stdio", **_stdio()})


def _cursor(before: str, file: Path) -> str:
    return _in_json(before, file, ("mcpServers", _NAME), _stdio("--root", "${workspaceFolder}"))


def _vscode(before: str, file: Path) -> str:
    entry = {"type": "stdio", **_stdio("--root", "${workspaceFolder}")}
    return _in_json(before, file, ("servers", _NAME), entry)


def _opencode(before: str, file: Path) -> str:
    entry = {"type": "local", "command": command("mcp"), "enabled": True}
    # Version 2 has its servers a level deeper.
    nested = re.search(r'"mcp"\s*:\s*\{\s*"servers"', before) is not None
    return _in_json(before, file, ("mcp", "servers", _NAME) if nested else ("mcp", _NAME), entry)


def _codex(before: str, file: Path) -> str:
    entry = _stdio()
    lines = [f"[mcp_servers.{_NAME}]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items())]
    table = "\n".join(lines) + "\n"
    by_hand = f"Add this by hand:\n{table}"
    try:
        said = tomllib.loads(before)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is no TOML: {error}. It is left as it is. {by_hand}") from error
    servers = said.get("mcp_servers", {})
    if isinstance(servers, dict) and servers.get(_NAME) == entry:
        return before
    ours = re.compile(rf"^\[mcp_servers\.{_NAME}\][ \t]*\n(?:(?!\[).*\n?)*", re.MULTILINE)
    if ours.search(before):
        after = ours.sub(lambda _: table + "\n", before, count=1).rstrip("\n") + "\n"
    else:
        after = f"{before.rstrip()}\n\n{table}" if before.strip() else table
    # A file may say the same in ways that this does not look for; the two together must say what is meant, and no more.
    try:
        wanted = {**said, "mcp_servers": {**servers, _NAME: entry}}
        same = tomllib.loads(after) == wanted
    except (tomllib.TOMLDecodeError, TypeError):
        same = False
    if not same:
        raise UsageError(f"{file} can not be changed without harm. It is left as it is. {by_hand}")
    return after


_LUA: Final = """\
-- Written by `codesearch install nvim`; remove it whenever you like.
-- :lua vim.lsp.buf.workspace_symbol("where do we back off before a retry?") puts answers into the quickfix list.
local command = {command}
local roots = {{}}
vim.api.nvim_create_autocmd({{ "BufReadPost", "BufNewFile" }}, {{
  group = vim.api.nvim_create_augroup("codesearch", {{ clear = true }}),
  callback = function(args)
    local name = vim.api.nvim_buf_get_name(args.buf)
    if vim.bo[args.buf].buftype ~= "" or name == "" then return end
    local found = vim.fn.finddir(".git", vim.fn.fnamemodify(name, ":p:h") .. ";")
    if found == "" then return end
    local root = vim.fn.fnamemodify(found, ":p:h:h")
    roots[root] = roots[root] or vim.lsp.start_client({{ name = "codesearch", cmd = command, root_dir = root }})
    if roots[root] then vim.lsp.buf_attach_client(args.buf, roots[root]) end
  end,
}})
"""


def _nvim(before: str, file: Path) -> str:
    if before and "`codesearch install nvim`" not in before:
        raise UsageError(f"{file} is not ours. It is left as it is; move it away, and run the command again.")
    words = ", ".join(json.dumps(word, ensure_ascii=False) for word in command("lsp"))
    return _LUA.format(command=f"{{ {words} }}")


def _home(variable: str, otherwise: str) -> Path:
    said = os.environ.get(variable, "")
    return Path(said) if said else Path.home() / otherwise


def _config_home() -> Path:
    return _home("XDG_CONFIG_HOME", ".config")


def _claude_file() -> Path:
    return _home("CLAUDE_CONFIG_DIR", "") / ".claude.json"


def _code_file() -> Path:
    if sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = _home("APPDATA", "AppData/Roaming") if os.name == "nt" else _config_home()
    return base / "Code/User/mcp.json"


def _opencode_file() -> Path:
    folder = _config_home() / "opencode"
    with_comments = folder / "opencode.jsonc"
    return with_comments if with_comments.exists() else folder / "opencode.json"


def _nvim_file() -> Path:
    base = _home("LOCALAPPDATA", "AppData/Local") if os.name == "nt" else _config_home()
    return base / os.environ.get("NVIM_APPNAME", "nvim") / "plugin/codesearch.lua"


_AGENT: Final = "it then has the tools `search` and `related`"
_CLIENTS: Final[dict[str, tuple[Callable[[str, Path], str], Callable[[], Path], str]]] = {
    "claude": (_claude, _claude_file, f"{_AGENT}, in the folder that it is started in"),
    "codex": (_codex, lambda: _home("CODEX_HOME", ".codex") / "config.toml", _AGENT),
    "cursor": (_cursor, lambda: Path.home() / ".cursor/mcp.json", _AGENT),
    "opencode": (_opencode, _opencode_file, _AGENT),
    "vscode": (_vscode, _code_file, "its agents then have the tools; extensions/vscode/ is for people"),
    "nvim": (_nvim, _nvim_file, "its search for symbols then takes questions, in every git repository"),
}


def _text(file: Path) -> str:
    """Return what is in FILE, or nothing where it is not there."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{file} is too large to be settings.")
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not in UTF-8. It is left as it is.") from error
    except OSError as error:
        raise StorageError(f"{file} can not be read: {error.strerror}.") from error


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(text.encode("utf-8"))
            opened.flush()
            os.fsync(opened.fileno())
        if file.exists():
            shutil.copymode(file, fresh)
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
