"""The language server, asked by pygls' own client, and by Neovim's where there is one."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from tests.cli.conftest import write
from tests.rpc.conftest import Object

Work = Callable[[LanguageClient], Awaitable[None]]


def converse(root: Path, surroundings: dict[str, str], work: Work, **initialization: Any) -> list[Any]:
    """Start the server of ROOT, do WORK with a client of it; return what the server told it."""
    told: list[Any] = []

    async def run() -> None:
        client = LanguageClient("test", "1")

        @client.feature(lsp.WINDOW_SHOW_MESSAGE)
        @client.feature(lsp.PROGRESS)
        def tell(params: Any) -> None:
            told.append(params)

        @client.feature(lsp.CLIENT_REGISTER_CAPABILITY)
        def register(params: lsp.RegistrationParams) -> None:
            told.append(params)

        @client.feature(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE)
        def create(params: lsp.WorkDoneProgressCreateParams) -> None:
            told.append(params)

        await client.start_io(sys.executable, "-P", "-m", "codesearch.cli", "lsp", env=surroundings, cwd="/")
        able = lsp.ClientCapabilities(
            window=lsp.WindowClientCapabilities(work_done_progress=True),
            workspace=lsp.WorkspaceClientCapabilities(
                did_change_watched_files=lsp.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True)
            ),
        )
        folder = lsp.WorkspaceFolder(root.as_uri(), "shop")
        said = lsp.InitializeParams(able, workspace_folders=[folder], initialization_options=initialization)
        await client.initialize_async(said)
        client.initialized(lsp.InitializedParams())
        try:
            await work(client)
        finally:
            await client.shutdown_async(None)
            client.exit(None)
            await client.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
    return told


async def ask(client: LanguageClient, verb: str, **params: Any) -> Any:
    return await client.protocol.send_request_async(f"codesearch/{verb}", params)


def test_symbols_answer_questions_and_commands_and_requests_are_the_verbs(
    shop: Path, surroundings: dict[str, str]
) -> None:
    async def work(client: LanguageClient) -> None:
        found = await client.workspace_symbol_async(lsp.WorkspaceSymbolParams("retry a failed call"))
        assert found
        best = found[0]
        assert (best.name, best.kind, best.container_name) == (
            "retry_with_backoff",
            lsp.SymbolKind.Function,
            "shop/retry.py",
        )
        assert isinstance(best.location, lsp.Location)
        assert best.location.uri == (shop / "shop/retry.py").as_uri()
        assert best.location.range.start.line == 9
        assert await client.workspace_symbol_async(lsp.WorkspaceSymbolParams("")) == []
        answer = await ask(client, "ask", query="cart", limit=2)
        assert [result.symbol for result in answer.results] == ["Cart", "Cart.add"]
        said = await client.workspace_execute_command_async(
            lsp.ExecuteCommandParams("codesearch.ask", [{"query": "cart", "limit": 2}])
        )
        assert [result["symbol"] for result in said["results"]] == ["Cart", "Cart.add"]
        with pytest.raises(JsonRpcException, match="is not in") as error:
            await ask(client, "open-at", path="../../etc/passwd")
        assert error.value.code == -32010

    told = converse(shop, surroundings, work)
    registered = [one for one in told if isinstance(one, lsp.RegistrationParams)]
    assert registered[0].registrations[0].method == lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES


def test_a_line_offers_related_code_and_shows_it(shop: Path, surroundings: dict[str, str]) -> None:
    async def work(client: LanguageClient) -> None:
        line = lsp.Range(lsp.Position(10, 0), lsp.Position(10, 0))
        document = lsp.TextDocumentIdentifier((shop / "shop/cart.py").as_uri())
        actions = await client.text_document_code_action_async(
            lsp.CodeActionParams(document, line, lsp.CodeActionContext([]))
        )
        assert actions and isinstance(actions[0], lsp.Command)
        command = actions[0]
        said = await client.workspace_execute_command_async(
            lsp.ExecuteCommandParams(command.command, command.arguments)
        )
        assert said["symbol"] == "Cart.total"

    told = converse(shop, surroundings, work)
    (message,) = [one.message for one in told if isinstance(one, lsp.ShowMessageParams)]
    assert message.startswith("related to Cart.total:\n")


def test_a_save_refreshes_the_index_and_indexing_shows_progress(tmp_path: Path, surroundings: dict[str, str]) -> None:
    root = write(tmp_path / "shop").resolve()

    async def work(client: LanguageClient) -> None:
        done = await ask(client, "index")
        assert done.indexed == 4
        (root / "shop/zeppelin.py").write_text("def moor_the_zeppelin():\n    return 1\n")
        document = lsp.TextDocumentIdentifier((root / "shop/zeppelin.py").as_uri())
        client.text_document_did_save(lsp.DidSaveTextDocumentParams(document))
        for _ in range(200):
            if (await ask(client, "status")).files == 5:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the save was not noticed")
        (root / "shop/zeppelin.py").unlink()
        change = lsp.FileEvent(document.uri, lsp.FileChangeType.Deleted)
        client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([change]))
        for _ in range(200):
            if (await ask(client, "status")).files == 4:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the deletion was not noticed")

    told = converse(root, surroundings, work)
    shown = [one.value["kind"] for one in told if isinstance(one, lsp.ProgressParams)]
    assert shown[0] == "begin" and "end" in shown


def test_a_folder_that_is_not_trusted_is_not_written_to(tmp_path: Path, surroundings: dict[str, str]) -> None:
    root = write(tmp_path / "shop").resolve()

    async def work(client: LanguageClient) -> None:
        assert (await ask(client, "index")).indexed == 4
        assert (await ask(client, "ask", query="cart")).results
        with pytest.raises(JsonRpcException, match="not trusted"):
            await ask(client, "adapt")

    converse(root, surroundings, work, trusted=False)
    assert sorted(path.name for path in root.iterdir()) == ["README.md", "shop", "web"]


NVIM = """
local function fail(said) io.stderr:write(said .. '\\n'); vim.cmd('cquit') end
local root, command, out = unpack(vim.fn.json_decode(vim.env.CODESEARCH_TEST))
local id = vim.lsp.start_client({
  name = 'codesearch', cmd = command, root_dir = root,
  workspace_folders = {{ uri = vim.uri_from_fname(root), name = 'shop' }},
})
if not id then fail('the server did not start') end
local client = vim.lsp.get_client_by_id(id)
if not vim.wait(20000, function() return client.initialized end) then fail('not initialized') end
vim.cmd('edit ' .. root .. '/shop/cart.py')
vim.lsp.buf_attach_client(0, id)
vim.lsp.buf.workspace_symbol('retry a failed call')
if not vim.wait(20000, function() return #vim.fn.getqflist() > 0 end) then fail('no symbols') end
local found = vim.fn.getqflist()[1]
local said = client.request_sync('codesearch/ask', { query = 'cart', limit = 2 }, 20000)
if not said or said.err then fail('no answer: ' .. vim.inspect(said)) end
vim.fn.writefile({ vim.fn.json_encode({
  file = vim.fn.bufname(found.bufnr), line = found.lnum, text = found.text, result = said.result,
}) }, out)
client.stop()
vim.wait(10000, function() return vim.lsp.client_is_stopped(id) end)
vim.cmd('qall!')
"""


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim is not installed")
def test_neovims_own_client_puts_answers_into_the_quickfix_list(
    shop: Path, surroundings: dict[str, str], tmp_path: Path
) -> None:
    script, out = tmp_path / "try.lua", tmp_path / "out.json"
    script.write_text(NVIM)
    command = [sys.executable, "-P", "-m", "codesearch.cli", "lsp"]
    given = surroundings | {"CODESEARCH_TEST": json.dumps([str(shop), command, str(out)])}
    done = subprocess.run(
        ["nvim", "--headless", "--clean", "-n", "-c", f"luafile {script}"],
        env=given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    said: Object = json.loads(out.read_text())
    assert said["file"].endswith("shop/retry.py") and said["line"] == 10
    assert "retry_with_backoff" in said["text"]
    assert [result["symbol"] for result in said["result"]["results"]] == ["Cart", "Cart.add"]
