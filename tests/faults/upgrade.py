"""Indexes as former versions wrote them, made by the code of those versions: `python -m tests.faults.upgrade`.

Takes each version's source from git's history, indexes a small repository with it, and lets today's code go on with it.
`--keep` renews what `test_upgrade` unpacks instead: the same indexes without their models, packed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from codesearch.seal import SEAL, seal
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.faults import world
from tests.index.conftest import write

FORMATS: Final = {
    "a81a20c": "the first that could index: vectors in float16, signatures as a column",
    "69ff894": "chunks cut by rules 2",
    "8f7586e": "vectors in a byte a component",
    "09ec6a1": "terms by rules 2, signatures gone",
    "cdcc0ea": "calibrated with foreign questions",
    "3292395": "a retriever of its own",
    "153faf5": "terms by rules 3",
    "01b557e": "searched while it is built",
    "2ad39bc": "headings embedded as well",
    "62fbc33": "the last without a seal, of format 1",
    "70970be": "sealed; the last whose manifest does not say what else there is",
}
"""What was new in the index, by the commit that brought it."""

KEPT: Final = Path(__file__).with_name("formats")
QUESTION: Final = "how often is a failed call tried again"
ANSWER: Final = "retry_with_backoff"

_INDEX: Final = """
import sys
from pathlib import Path

# An editable installation would lend that version the modules that it has not got.
sys.meta_path[:] = [finder for finder in sys.meta_path if not finder.__module__.startswith("__editable__")]
from codesearch.workspace import Workspace

workspace = Workspace.open(Path(sys.argv[1]))
list(workspace.index(workers=0))
try:
    from codesearch import adaptation
    from codesearch.bundle import load
    from codesearch.paths import base_bundle
except ImportError:
    sys.exit()
base = load(base_bundle())
said = adaptation.Adaptation(accepted=True, reason="kept", base=base.fingerprint, fingerprint=base.fingerprint)
adaptation.keep(workspace.layout, said, base.folder)
"""


def lay_out(root: Path) -> None:
    """Write the repository that every version has indexed."""
    write(
        root,
        "retry.py",
        "import time\n\n\ndef retry_with_backoff(call, attempts=5):\n"
        '    """Call again after a failure, waiting twice as long each time."""\n'
        "    for attempt in range(attempts):\n        try:\n            return call()\n"
        "        except ConnectionError:\n            time.sleep(2**attempt)\n    raise TimeoutError\n",
    )
    write(root, "cart.py", 'class Cart:\n    """What a customer buys."""\n\n    def total(self):\n        return 0\n')
    write(root, "README.md", "# Shop\n\nSells things.\n")
    for path in ("retry.py", "cart.py", "README.md"):
        os.utime(root / path, (1_000_000_000, 1_000_000_000))


def write_index(commit: str, root: Path) -> None:
    """Index ROOT with the code of COMMIT."""
    with tempfile.TemporaryDirectory() as source:
        packed = subprocess.run(["git", "archive", commit, "codesearch"], capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(source, filter="data")
        environment = os.environ | {"PYTHONPATH": source}
        command = [sys.executable, "-P", "-c", _INDEX, str(root)]
        subprocess.run(command, cwd=source, env=environment, check=True)


def unsealed(root: Path) -> Iterator[str]:
    """Yield what is wrong when ROOT has an index without a seal, as versions before there were seals have left it.

    It could be anybody's, so it is left as it is, and there is another in the user's data folder.
    """
    folder = root / ".codesearch"
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with Workspace.open(root) as workspace:
        if workspace.layout.folder.is_relative_to(root) or "codesearch clear" not in workspace.notice:
            yield "an index without a seal is taken for one's own"
        answer = workspace.ask(QUESTION)
        if answer.state is not Stale.FRESH or not answer.hits or answer.hits[0].symbol != ANSWER:
            yield f"without a seal the answer is {answer.hits[:1]}, {answer.state}"
    if before != {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}:
        yield "an index without a seal was written to"


def wrong(root: Path) -> Iterator[str]:
    """Yield what is wrong when today's code is asked about ROOT, which has an index of its own by a former version."""
    seal(root / ".codesearch")
    with Workspace.open(root) as workspace:
        before = workspace.state()
        answer = workspace.ask(QUESTION)
        if before is Stale.MISSING:
            yield "the index is not recognised"
        if answer.state is not Stale.FRESH or not answer.hits or answer.hits[0].symbol != ANSWER:
            yield f"the answer is {answer.hits[:1]}, {answer.state}"
        yield from world.differences(workspace)
        yield from world.leftovers(workspace)
    yield from world.cleared(root)


def move(index: Path, root: Path) -> None:
    """Let every generation in the folder INDEX say that it is of ROOT."""
    for manifest in index.glob("gen-*/manifest.sqlite"):
        with closing(sqlite3.connect(manifest)) as db, db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'root'", (json.dumps(str(root)),))
            db.execute("DELETE FROM meta WHERE key = 'inode'")
        with closing(sqlite3.connect(manifest)) as db:
            db.execute("VACUUM")


def _keep(root: Path, file: Path) -> None:
    """Pack the index of ROOT into FILE, its models apart, under a path, dates and owners that say nothing."""
    move(root / ".codesearch", Path("shop"))

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if member.isfile() and Path(member.name).name in ("model.onnx", "tokenizer.json", SEAL):
            return None
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(file, "w:xz") as archive:
        archive.add(root / ".codesearch", "index", filter=anonymous)


def main() -> int:
    """Try every former version, or keep what it writes."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.upgrade", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="renew what the test unpacks")
    keep = parser.parse_args().keep
    failed = False
    for commit, new in FORMATS.items():
        with tempfile.TemporaryDirectory(prefix="upgrade-") as folder:
            root = Path(folder, "shop")
            lay_out(root)
            write_index(commit, root)
            if keep:
                KEPT.mkdir(exist_ok=True)
                _keep(root, KEPT / f"{commit}.tar.xz")
                continue
            found = [] if (root / ".codesearch" / SEAL).exists() else list(unsealed(root))
            found += wrong(root)
            failed = failed or bool(found)
            print(f"{commit}  {new}: {'; '.join(found) or 'right'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
