"""The harness scores what the installed command answers, on one small judged repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.relevance.harness import CHECKOUT


def test_a_run_prints_and_writes_what_was_found(tmp_path: Path) -> None:
    judgements, repository = tmp_path / "judgements", tmp_path / "repositories" / "shop"
    (judgements / "judgements").mkdir(parents=True)
    for path, text in {
        "src/shop/retry.py": "def retry_with_backoff(call):\n    return call()\n",
        "src/shop/cart.py": "class Cart:\n    def total(self):\n        return sum(self.prices)\n",
        "tests/test_zeppelin.py": "def test_zeppelin():\n    assert zeppelin()\n",
    }.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    listed = [{"name": "shop", "language": "python", "github": "a/shop", "revision": "0", "root": "src/shop"}]
    (judgements / "repositories.json").write_text(json.dumps(listed))
    lines = {"start_line": 2, "end_line": 3}
    asked = [
        {"query": "retry backoff", "category": "semantic", "targets": [{"path": "src/shop/retry.py"}]},
        {"query": "cart total", "category": "symbol", "targets": [{"path": "src/shop/cart.py"} | lines]},
        {"query": "zeppelin", "category": "semantic", "targets": [{"path": "tests/test_zeppelin.py"}]},
    ]
    (judgements / "judgements" / "shop.json").write_text(json.dumps(asked))

    def run(scope: str) -> str:
        command = [sys.executable, "-m", "tests.relevance", str(judgements), str(repository.parent), "--mode", "text"]
        command += ["--scope", scope, "--run", str(tmp_path / f"{scope}.jsonl")]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "OVERALL            0.6667" in run("root")
    assert "OVERALL            1.0000" in run("checkout")
    answers = [json.loads(line) for line in (tmp_path / "root.jsonl").read_text().splitlines()]
    found = [{row["path"] for row in answer["results"]} for answer in answers]
    assert found == [{"src/shop/retry.py"}, {"src/shop/cart.py"}, set()]
    assert not (repository / ".codesearch").exists() and not (repository / "src/shop/.codesearch").exists()
