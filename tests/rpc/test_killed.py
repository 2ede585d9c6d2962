"""Whatever of the backend is killed under an editor or an agent: the answers come all the same, or it is told so."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from pygls.lsp.client import LanguageClient

from tests.cli.conftest import write
from tests.rpc import test_lsp as lsp
from tests.rpc import test_mcp as mcp
from tests.rpc.conftest import Starts, until
from tests.rpc.sock import Socket

FUNCTION = "def step_{0}(value):\n    '''Do step {0} of the work.'''\n    return value + {0}\n\n\n"
FILES = 320
"""Enough for processes that cut them."""


def many(root: Path) -> Path:
    body = "".join(map(FUNCTION.format, range(5)))
    return write(root, {f"part{n}/m{n}.py": body.replace("step", f"step{n}") for n in range(FILES)}).resolve()


def workers(parent: int) -> list[int]:
    """Return the processes that cut files for PARENT."""
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"spawn_main" in words:
                found.append(child)
    return found


def kill_a_worker(parent: int) -> None:
    """Wait until PARENT has processes that cut files, each of which lives as long as there are some, and kill one."""
    until(lambda: bool(workers(parent)))
    os.kill(workers(parent)[0], signal.SIGKILL)


@contextmanager
def warm(root: Path, surroundings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the warm server of ROOT, as the command starts it."""
    command = [sys.executable, "-P", "-m", "codesearch.server", "--root", str(root)]
    with subprocess.Popen(command, env=surroundings, cwd="/", stderr=subprocess.DEVNULL) as process:
        client = Socket(root, surroundings["XDG_RUNTIME_DIR"])

        def up() -> bool:
            try:
                return bool(client.request("ask", {"query": "cart"})["result"]["results"])
            except OSError:
                return False

        try:
            until(up)
            yield process
        finally:
            process.kill()


async def while_its_warm_server_dies(
    root: Path, surroundings: dict[str, str], ask: Callable[[], Awaitable[Any]]
) -> None:
    """Ask beside a warm server, while it is killed, and when it is gone."""
    expected = await ask()
    with warm(root, surroundings) as server:
        asking = [asyncio.create_task(ask()) for _ in range(20)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        server.kill()
        assert await asyncio.gather(*asking) == [expected] * 20
        server.wait()
        assert await ask() == expected


def test_the_language_server_answers_while_its_warm_server_dies(shop: Path, surroundings: dict[str, str]) -> None:
    async def work(client: LanguageClient) -> None:
        async def ask() -> list[str]:
            said = await lsp.ask(client, "ask", query="retry a failed call")
            return [one.id for one in said.results]

        await while_its_warm_server_dies(shop, surroundings, ask)

    lsp.converse(shop, surroundings, work)


def test_an_agent_is_answered_while_its_warm_server_dies(shop: Path, surroundings: dict[str, str]) -> None:
    async def work(client: Client) -> None:
        async def ask() -> str:
            while "state: fresh" not in (said := (await mcp.call(client, "search", query="retry a failed call"))[0]):
                await asyncio.sleep(0.1)  # it loads still, or the machine is busy
            return said

        await while_its_warm_server_dies(shop, surroundings, ask)

    mcp.converse([shop], surroundings, work)


def test_indexing_for_an_editor_outlives_what_works_for_it(tmp_path: Path, surroundings: dict[str, str]) -> None:
    root = many(tmp_path / "many")

    async def work(client: LanguageClient) -> None:
        server = client._server
        assert server
        indexing = asyncio.create_task(lsp.ask(client, "index"))
        await asyncio.to_thread(kill_a_worker, server.pid)
        assert (await lsp.ask(client, "open-at", path="part7/m7.py")).line == 1
        assert (await indexing).files == FILES
        said = await lsp.ask(client, "ask", query="step7_3")
        assert said.results[0].path == "part7/m7.py"

    lsp.converse(root, surroundings, work)


def test_indexing_over_a_pipe_outlives_what_works_for_it(tmp_path: Path, start: Starts) -> None:
    client = start(many(tmp_path / "many"))
    client.send("index", {}, "slow")
    kill_a_worker(client.process.pid)
    assert client.wait("slow")["result"]["files"] == FILES
    assert client.result("ask", query="step7_3")["results"][0]["path"] == "part7/m7.py"


def pid_of(root: Path) -> int:
    """Return the process of the MCP server of ROOT."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"mcp" in words and os.fsencode(root) in words:
            return int(process.name)
    raise AssertionError("there is none")


def test_indexing_for_an_agent_outlives_what_works_for_it(tmp_path: Path, surroundings: dict[str, str]) -> None:
    root = many(tmp_path / "many")

    async def work(client: Client) -> None:
        first = asyncio.create_task(mcp.call(client, "search", query="step7_3"))
        await asyncio.to_thread(kill_a_worker, pid_of(root))
        said, wrong = await first
        while not said.startswith("state: fresh; indexed: 100 %"):
            assert not wrong and said.startswith("state: "), said
            await asyncio.sleep(0.3)
            said, wrong = await mcp.call(client, "search", query="step7_3")
        assert "m7.py:" in said

    mcp.converse([root], surroundings, work)


@pytest.mark.parametrize("when", ["between", "during"])
def test_an_agent_is_told_that_its_server_was_killed(when: str, shop: Path, surroundings: dict[str, str]) -> None:
    async def work(client: Client) -> None:
        assert not (await mcp.call(client, "search", query="cart"))[1]
        pid = pid_of(shop)
        if when == "during":
            os.kill(pid, signal.SIGSTOP)  # so that the question is sure to be under way
            asking = asyncio.create_task(mcp.call(client, "search", query="cart"))
            await asyncio.sleep(0.2)
            assert not asking.done()
            os.kill(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
            asking = asyncio.create_task(mcp.call(client, "search", query="cart"))
        with pytest.raises(Exception, match="closed"):
            await asyncio.wait_for(asking, 20)

    mcp.converse([shop], surroundings, work)


NVIM = """
local function fail(said) io.stderr:write(said .. '\\n'); vim.cmd('cquit') end
local root, command, out = unpack(vim.fn.json_decode(vim.env.CODESEARCH_TEST))
local code, signal
local function start()
  local id = vim.lsp.start_client({
    name = 'codesearch', cmd = command, root_dir = root,
    workspace_folders = {{ uri = vim.uri_from_fname(root), name = 'shop' }},
    on_exit = function(...) code, signal = ... end,
  })
  local client = id and vim.lsp.get_client_by_id(id)
  if not client then fail('the server did not start') end
  if not vim.wait(60000, function() return client.initialized end) then fail('not initialized') end
  vim.lsp.buf_attach_client(0, id)
  return id, client
end
local function ask(client)
  local said = client.request_sync('workspace/symbol', { query = 'retry a failed call' }, 60000, 0)
  if not said or said.err then fail('no answer: ' .. vim.inspect(said)) end
  return said.result[1].name
end
local function pid()
  return vim.fn.systemlist({ 'pgrep', '-f', '--', 'codesearch.cli lsp --root ' .. root })[1]
end
vim.cmd('edit ' .. root .. '/shop/cart.py')
local id, client = start()
local first = ask(client)
vim.loop.kill(tonumber(pid()), 'sigstop')
local answered
client.request('workspace/symbol', { query = 'cart' }, function() answered = true end, 0)
vim.loop.kill(tonumber(pid()), 'sigkill')
if not vim.wait(20000, function() return vim.lsp.client_is_stopped(id) end) then fail('its end was not noticed') end
_, client = start()
vim.fn.writefile({ vim.fn.json_encode({
  code = code, signal = signal, answered = answered or false, before = first, after = ask(client),
}) }, out)
vim.lsp.stop_client(vim.lsp.get_active_clients())
vim.cmd('qall!')
"""


@pytest.mark.skipif(not (shutil.which("nvim") and shutil.which("pgrep")), reason="needs Neovim and pgrep")
def test_neovims_own_client_notices_that_the_language_server_was_killed_and_a_new_one_answers(
    shop: Path, surroundings: dict[str, str], tmp_path: Path
) -> None:
    script, out = tmp_path / "try.lua", tmp_path / "out.json"
    script.write_text(NVIM)
    command = [sys.executable, "-P", "-m", "codesearch.cli", "lsp", "--root", str(shop)]
    done = subprocess.run(
        ["nvim", "--headless", "--clean", "-n", "-c", f"luafile {script}"],
        env=surroundings | {"CODESEARCH_TEST": json.dumps([str(shop), command, str(out)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text()) == {
        "code": 0,
        "signal": signal.SIGKILL,
        "answered": False,
        "before": "retry_with_backoff",
        "after": "retry_with_backoff",
    }
