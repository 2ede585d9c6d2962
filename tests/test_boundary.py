"""Who imports what: the search never loads the trainer, and the command line starts without what searches.

Each check of what is loaded runs in a process of its own, because imports can not be taken back.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

SEARCHES = ("numpy", "lancedb", "onnxruntime", "pyarrow", "tokenizers", "tree_sitter", "git")
"""What is heavy, and loaded when somebody searches."""

EVERYTHING = """
import importlib, pkgutil, sys
from pathlib import Path

import codesearch
for module in pkgutil.walk_packages(codesearch.__path__, "codesearch."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from codesearch.workspace import Workspace
with Workspace.open(Path(sys.argv[1])) as workspace:
    assert workspace.ask("how is the answer computed").hits
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def modules(code: str, *arguments: str) -> set[str]:
    """Run CODE, which prints modules, in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_everything_and_searching_loads_nothing_of_the_trainer(tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text("def answer():\n    return 42\n")
    loaded = modules(EVERYTHING, str(tmp_path))
    assert {"codesearch", "lancedb", "onnxruntime"} <= loaded, "the search did run"
    assert not loaded & {"torch", "transformers", "revela_train"}


def test_the_command_line_starts_without_what_searches() -> None:
    loaded = modules("import sys, codesearch.cli.app; print(*sys.modules)")
    assert "codesearch.cli.app" in loaded
    assert not loaded & {*SEARCHES, "textual"}


def test_the_interface_is_painted_before_anything_that_searches_is_loaded() -> None:
    loaded = modules("import sys, codesearch.tui.app; print(*sys.modules)")
    assert "textual.app" in loaded
    assert not loaded & {*SEARCHES}


def test_asking_a_store_needs_neither_ray_nor_pylance() -> None:
    """Nor does finding out what there is to be typed."""
    for asks in ("codesearch.fleet.search, codesearch.cli.fleet", "codesearch.cli.app, codesearch.server.mcp_store"):
        loaded = modules(f"import sys, {asks}; print(*{{name.partition('.')[0] for name in sys.modules}})")
        assert "codesearch" in loaded
        assert not loaded & {"ray", "lance", "torch", "transformers", "revela_train"}


def test_driving_a_fleet_loads_lance_only_after_ray_has_begun_its_processes() -> None:
    loaded = modules("import sys, codesearch.fleet.drive; print(*{name.partition('.')[0] for name in sys.modules})")
    assert "ray" in loaded
    assert not loaded & {"lance", "lancedb", "torch"}


def test_ray_and_pylance_are_the_fleets_but_for_draws_and_it_is_for_the_command_line_servers_and_the_trainer() -> None:
    root = Path(__file__).parents[1]
    for file in (file for room in ("codesearch", "revela_train") for file in (root / room).rglob("*.py")):
        names = {
            name
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            for name in (
                [one.name for one in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        room = file.relative_to(root).parts[:2]
        if room != ("codesearch", "fleet"):
            engines = {"ray"} if room == ("revela_train", "draws.py") else set()
            assert {name.partition(".")[0] for name in names} & {"ray", "lance"} == engines, file
        if room not in (("codesearch", "fleet"), ("codesearch", "cli"), ("codesearch", "server")):
            theirs = {name for name in names if name.startswith("codesearch.fleet")}
            shared = {"codesearch.fleet.access"} if room == ("codesearch", "tui") else set()
            assert theirs <= shared or room[0] == "revela_train", file


def test_asking_a_server_needs_only_the_standard_library() -> None:
    loaded = modules("import sys, codesearch.cli, codesearch.server.client; print(*sys.modules)")
    ours = {name for name in loaded if name.startswith("codesearch")}
    assert ours == {
        "codesearch",
        "codesearch.cli",
        "codesearch.nearest",
        "codesearch.server",
        "codesearch.server.client",
        "codesearch.server.protocol",
    }
    assert not loaded & {"typer", "rich", "numpy", "dataclasses", "subprocess"}


def test_drawing_from_a_store_loads_no_torch_and_lance_only_after_ray_has_begun_its_processes() -> None:
    loaded = modules("import sys, revela_train.draws; print(*{name.partition('.')[0] for name in sys.modules})")
    assert "revela_train" in loaded
    assert not loaded & {"torch", "transformers", "lance", "lancedb"}
    loaded = modules("import sys, revela_train.organisation; print(*{name.partition('.')[0] for name in sys.modules})")
    assert {"torch", "ray"} <= loaded
    assert not loaded & {"lance", "lancedb"}


NEW = """
import sys
before = set(sys.modules)
import {}
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names)
"""


def test_the_words_need_only_the_standard_library_and_the_ranking_numbers() -> None:
    words = "codesearch.types, codesearch.errors, codesearch.events, codesearch.paths, codesearch.roles"
    assert modules(NEW.format(words)) == {"codesearch"}
    assert modules(NEW.format("codesearch.rank")) == {"codesearch", "numpy"}


CLIENT = """
import sys, codesearch.store
assert not any(name.startswith("lance_namespace_urllib3_client") for name in sys.modules)
from lance_namespace_urllib3_client.models import CreateTableRequest
print(*CreateTableRequest.model_fields)
"""


def test_the_store_loads_no_client_of_servers_and_leaves_it_whole_for_others() -> None:
    assert "id" in modules(CLIENT)


def test_no_module_takes_what_another_keeps_to_itself() -> None:
    root = Path(__file__).parents[1]
    private = [
        f"{file.relative_to(root)}: {one.name}"
        for room in ("codesearch", "revela_train")
        for file in (root / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for one in node.names
        if one.name.startswith("_")
    ]
    assert not private
