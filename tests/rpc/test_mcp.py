"""The MCP server, asked by the SDK's own client."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from mcp import Client, StdioServerParameters

from codesearch.cli.budget import tokens
from tests.cli.conftest import write

Work = Callable[[Client], Awaitable[None]]


def converse(roots: list[Path], surroundings: dict[str, str], work: Work) -> None:
    async def run() -> None:
        arguments = ["-P", "-m", "codesearch.cli", "mcp", *(word for root in roots for word in ("--root", str(root)))]
        server = StdioServerParameters(command=sys.executable, args=arguments, env=surroundings, cwd="/")
        async with Client(server) as client:
            await work(client)

    asyncio.run(asyncio.wait_for(run(), 90))


async def call(client: Client, tool: str, **arguments: object) -> tuple[str, bool]:
    said = await client.call_tool(tool, arguments)
    (content,) = said.content
    assert content.type == "text"
    return content.text, bool(said.is_error)


def test_what_an_agent_reads_before_it_asks_is_small(shop: Path, surroundings: dict[str, str]) -> None:
    async def work(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {"search", "related"}
        said = json.dumps([tool.model_dump(exclude_none=True, mode="json") for tool in tools])
        assert tokens(said + (client.instructions or "")) < 1500
        assert str(shop) in (client.instructions or "")

    converse([shop], surroundings, work)


def test_answers_have_places_and_state_and_fit_into_what_is_granted(shop: Path, surroundings: dict[str, str]) -> None:
    async def work(client: Client) -> None:
        deadline = time.monotonic() + 60
        while True:  # it may still be loading
            said, wrong = await call(client, "search", query="retry a failed call")
            if "state: loading" not in said:
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        assert not wrong
        first, second, *_ = said.splitlines()
        assert first == "state: fresh; indexed: 100 %"
        assert second == "shop/retry.py:10-17 retry_with_backoff (function)"
        assert "time.sleep(2**attempt)" in said
        for most in (200, 300, 1000):
            said, _ = await call(client, "search", query="cart", max_tokens=most)
            assert tokens(said) <= most + 10 and "shop/cart.py:" in said
        said, _ = await call(client, "search", query="cart", paths=["web"])
        assert "cart.py" not in said
        said, _ = await call(client, "search", query="xyzzy plugh frobnicate")
        assert said == "state: fresh; indexed: 100 %\nnothing here seems to answer that\n"
        said, _ = await call(client, "related", path="shop/cart.py", line=11)
        assert said.splitlines()[1] == "related to shop/cart.py:11-13 Cart.total:"
        assert "similar: " in said

    converse([shop], surroundings, work)


def test_nothing_outside_the_roots_is_answered_about(shop: Path, tmp_path: Path, surroundings: dict[str, str]) -> None:
    other = write(tmp_path / "other", {"secret.py": "def launch_code():\n    return 1234\n"}).resolve()
    (tmp_path / "link").symlink_to(other)

    async def work(client: Client) -> None:
        for arguments in (
            {"query": "launch code", "root": str(other)},
            {"query": "launch code", "root": str(shop / "shop")},
            {"query": "launch code", "root": str(tmp_path / "link")},
            {"query": "launch code", "paths": [str(other)]},
            {"query": "launch code", "paths": ["../../.."]},
            {"query": ""},
        ):
            said, wrong = await call(client, "search", **arguments)
            assert wrong and "1234" not in said
        for path in (str(other / "secret.py"), "../other/secret.py"):
            said, wrong = await call(client, "related", path=path, line=1)
            assert wrong and "1234" not in said

    converse([shop], surroundings, work)


def test_two_folders_are_told_apart(shop: Path, tmp_path: Path, surroundings: dict[str, str]) -> None:
    other = write(tmp_path / "other", {"rocket.py": "def launch_rocket():\n    return 1234\n"}).resolve()

    async def work(client: Client) -> None:
        deadline = time.monotonic() + 60
        while "rocket.py:1" not in (await call(client, "search", query="launch rocket", root=str(other)))[0]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        said, _ = await call(client, "search", query="launch rocket")
        assert "rocket.py" not in said

    converse([shop, other], surroundings, work)


def test_the_first_call_is_answered_soon_though_nothing_is_indexed(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    files = {f"m{n}.py": "\n".join(f"def f{n}_{m}(x):\n    return x + {m}\n" for m in range(40)) for n in range(150)}
    root = write(tmp_path / "many", files).resolve()

    async def work(client: Client) -> None:
        started = time.monotonic()
        said, wrong = await call(client, "search", query="f7_3")
        took = time.monotonic() - started
        assert not wrong and said.startswith("state: "), said
        assert took < 3, took  # 2 s, and something for a machine that others use
        deadline = time.monotonic() + 60
        while not said.startswith("state: fresh; indexed: 100 %"):
            assert "Ask again" in said or "state: files" in said, said
            assert time.monotonic() < deadline
            await asyncio.sleep(0.3)
            said, wrong = await call(client, "search", query="f7_3")
        assert "m7.py:" in said

    converse([root], surroundings, work)
