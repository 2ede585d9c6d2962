"""An agent asks a store by the SDK's own client, and sees what whoever started the server lets it see."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters

from codesearch.fleet.sources import Source
from tests.fleet.conftest import filled
from tests.rpc.test_mcp import call


def test_an_agent_is_answered_from_what_it_may_see(shop: Path, billing: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    filled(store, [Source(str(folder), f"acme/{folder.name}") for folder in (shop, billing)])
    (tmp_path / "allow").write_text("acme/billing\n")
    arguments = ["-m", "codesearch.cli", "mcp", "--store", store, "--allow", str(tmp_path / "allow")]

    async def talk() -> None:
        server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ), cwd="/")
        async with Client(server) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == {"search", "related"}
            said, wrong = await call(client, "search", query="send the invoice by mail", languages=["python"])
            assert not wrong
            assert said.startswith("acme/billing/")
            assert "acme/shop" not in said
            said, wrong = await call(client, "search", query="retry with a growing delay")
            assert (said, wrong) == ("nothing here seems to answer that\n", False)
            said, wrong = await call(client, "search", query="send the invoice", globs=["*.md", "!tests/"])
            assert said.startswith("acme/billing/README.md:") and not wrong
            said, wrong = await call(client, "related", path="acme/billing/billing/invoice.py", line=4)
            assert said.startswith("related to acme/billing/billing/invoice.py:1-8 send_invoice:\n") and not wrong
            assert "test: acme/billing/tests/test_invoice.py:1-2" in said and "acme/shop" not in said
            for path in ("acme/shop/shop/cart.py", "acme/none/shop/cart.py"):
                said, wrong = await call(client, "related", path=path, line=4)
                assert wrong and "in no repository of the store that may be seen" in said
            said, wrong = await call(client, "search", query="cart", repositories=["acme/shop"])
            assert wrong and "may be seen" in said

    asyncio.run(asyncio.wait_for(talk(), 90))
