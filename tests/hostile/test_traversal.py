"""No verb of any front end reads, shows or names what is outside of the root, however the path is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from codesearch.cli.app import app
from codesearch.errors import CodesearchError
from codesearch.files import FileEntry, Skip, read
from codesearch.settings import Settings
from codesearch.workspace import Workspace
from tests.cli.conftest import script, write  # noqa: F401
from tests.hostile.watch import nothing_opened
from tests.rpc.conftest import Starts, start, surroundings  # noqa: F401
from tests.rpc.test_mcp import Client, call, converse

SECRET = "zanzibar_launch_code"

PATHS = {
    "upwards": "../private/launch.py",
    "upwards from a folder": "shop/../../private/launch.py",
    "upwards from a file": "shop/cart.py/../../../private/launch.py",
    "upwards with dots between": "./shop/.././../private/./launch.py",
    "upwards without end": "../" * 60 + "etc/passwd",
    "absolute": "{private}/launch.py",
    "absolute, through the root": "{root}/../private/launch.py",
    "twice absolute": "/{private}/launch.py",
    "a link to a folder": "out/launch.py",
    "a link to a file": "alias.py",
    "a link to a link": "again.py",
    "a loop": "loop/loop/loop/../../private/launch.py",
    "a link in the middle": "shop/up/private/launch.py",
    "percent-encoded": "%2e%2e/private/launch.py",
    "percent-encoded twice": "%252e%252e%252fprivate%252flaunch.py",
    "a URI": "file://{private}/launch.py",
    "a URI of another host": "file://host{private}/launch.py",
    "backslashes": "..\\private\\launch.py",
    "a share": "\\\\host\\share\\launch.py",
    "a share with slashes": "//host/share/launch.py",
    "a drive": "C:/private/launch.py",
    "a device path": "\\\\?\\C:\\private\\launch.py",
    "the home folder": "~/launch.py",
    "a variable": "$HOME/launch.py",
    "a pattern": "../priv*/launch.py",
    "this process": "/proc/self/environ",
    "a descriptor": "/dev/fd/0",
    "what is typed": "/dev/stdin",
    "git's own": ".git/config",
    "the index's own": ".codesearch/CURRENT",
    "a stranger's key": "id_rsa",
    "a fullwidth slash": "..\uff0fprivate\uff0flaunch.py",
    "no path at all": "",
    "an option": "--root={private}",
    "a name too long": "a" * 5000,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every way out, and what is not to be seen beside it."""
    folder = tmp_path_factory.mktemp("traversal").resolve()
    private = folder / "private"
    private.mkdir()
    (private / "launch.py").write_text(f"def {SECRET}():\n    return 1234\n")
    root = write(folder / "root")
    (root / "id_rsa").write_text(f"{SECRET}\n")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text(f"[user]\n\tpassword = {SECRET}\n")
    for name, target in {
        "out": private,
        "alias.py": private / "launch.py",
        "again.py": root / "alias.py",
        "loop": root / "loop",
        "shop/up": folder,
    }.items():
        (root / name).symlink_to(target)
    with Workspace.open(root) as workspace:
        for _ in workspace.index(workers=0):
            pass
    return root


@pytest.fixture
def outside(root: Path) -> Iterator[None]:
    with nothing_opened(root.parent / "private"):
        yield


def paths(root: Path) -> list[str]:
    return [path.format(root=root, private=root.parent / "private") for path in PATHS.values()]


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("path", PATHS)
def test_the_library_answers_nothing_about_it(path: str, root: Path) -> None:
    said = PATHS[path].format(root=root, private=root.parent / "private")
    with Workspace.open(root) as workspace:
        with pytest.raises(CodesearchError):
            workspace.related(said, 1, refresh=False)
        assert workspace.inspect(said).skip is not None
        assert workspace.lines(said) == [] or said.startswith((".git/", ".codesearch/")), "only what a row can name"
        assert SECRET not in "".join(workspace.lines(said)) or said.startswith(".git/")


@pytest.mark.usefixtures("outside")
def test_a_path_that_leads_upwards_is_no_file_whoever_says_it(root: Path) -> None:
    """A row of an index is trusted with nothing either."""
    for path in ("../private/launch.py", "shop/../../private/launch.py", "out/launch.py", "alias.py"):
        assert isinstance(read(FileEntry(path, str(root), 0, 0), Settings()), Skip), path


@pytest.mark.usefixtures("outside")
def test_the_command_answers_nothing_about_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    runner = CliRunner()
    for path in paths(root):
        asked: list[tuple[str, ...]] = [("related", "--no-server", "--", f"{path}:1"), ("inspect", "--", path)]
        if path.startswith(("..", "out/", "file:")):
            asked.append(("ask", "--no-server", "--min-score", "0", "--", SECRET, path))
        for arguments in asked:
            done = runner.invoke(app, arguments)
            assert done.exit_code in (0, 1, 2) and (done.exception is None or isinstance(done.exception, SystemExit))
            assert "1234" not in done.output and f"def {SECRET}" not in done.output and "root:x:" not in done.output
            if arguments[0] != "ask":
                assert done.exit_code in (1, 2), (arguments, done.output)


@pytest.mark.usefixtures("outside")
def test_the_servers_of_editors_answer_nothing_about_it(root: Path, start: Starts) -> None:  # noqa: F811
    """JSON-RPC and the language server, by every verb that takes a path."""
    plain = start(root)
    language = start(root, initialize=False, speaks="lsp")
    language.result("initialize", capabilities={}, rootUri=root.as_uri(), processId=None)
    language.send("initialized", {})
    for path in paths(root):
        asked: list[tuple[str, dict[str, Any]]] = [
            ("open-at", {"path": path}),
            ("related", {"path": path, "line": 1}),
            ("explain", {"path": path, "query": SECRET}),
            ("ask", {"query": SECRET, "paths": [path], "minScore": 0}),
        ]
        for verb, params in asked:
            for said in (plain.request(verb, **params), language.request(f"codesearch/{verb}", **params)):
                text = json.dumps(said.get("result", {}))
                assert "1234" not in text and f"def {SECRET}" not in text and "private/launch.py" not in text, path
                if verb == "open-at" and path not in ("id_rsa", ".git/config", ".codesearch/CURRENT"):
                    assert "error" in said, (path, said)
        uri = f"file://{path}" if path.startswith("/") else f"{root.as_uri()}/{path}"
        where = {"textDocument": {"uri": uri}, "range": {"start": {"line": 0, "character": 0}}, "context": {}}
        where["range"]["end"] = where["range"]["start"]
        where["context"]["diagnostics"] = []
        language.request("textDocument/codeAction", **where)
        language.send("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert plain.result("ask", query="cart")["results"] and plain.process.poll() is None
    assert language.request("codesearch/ask", query="cart")["result"]["results"]
    language.into.close()
    assert language.process.wait(20) == 0


@pytest.mark.usefixtures("outside")
def test_agents_are_answered_nothing_about_it(root: Path, surroundings: dict[str, str]) -> None:  # noqa: F811
    async def work(client: Client) -> None:
        for path in paths(root):
            for tool, arguments in (
                ("related", {"path": path, "line": 1}),
                ("search", {"query": SECRET, "paths": [path]}),
                ("search", {"query": f"{path}:1"}),
                ("search", {"query": SECRET, "root": path}),
            ):
                said, wrong = await call(client, tool, **arguments)
                assert "1234" not in said and f"def {SECRET}" not in said, path
                assert wrong or tool == "search"

    converse([root], surroundings, work)
