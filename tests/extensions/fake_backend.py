#!/usr/bin/env python3
"""A backend of extensions/PROTOCOL.md that knows one file, for the tests of the editors. Standard library only.

It behaves as the question says: `slow` takes half a second, or until it is cancelled; `crash` ends the process;
`nothing` finds nothing; `refuse` is an error with advice; `garbage` breaks the framing; `pieces` answers byte by byte;
`escapes` answers with what an editor must show as data. Anything else finds the functions of
`sample.py`, the pause first if it is asked for.

FAKE_OLD=1 makes it a codesearch that knows no `--stdio`; FAKE_LOG=FILE keeps what it was told, a message a line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

OUT = sys.stdout.buffer
LOCK = threading.Lock()
CANCELLED: dict[object, threading.Event] = {}
STATE = {"state": "fresh", "adaptation": None}


def send(message: dict[str, Any], pieces: bool = False) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    data = b"Content-Length: %d\r\n\r\n" % len(body) + body
    with LOCK:
        for part in [data[i : i + 1] for i in range(len(data))] if pieces else [data]:
            OUT.write(part)
            OUT.flush()


def result(rank: int, symbol: str, line: int, text: str, path: str = "sample.py") -> dict[str, Any]:
    return {
        "rank": rank,
        "score": 10.0 - rank,
        "id": f"{rank:032x}",
        "path": path,
        "start_line": line,
        "end_line": line + 2,
        "language": "python",
        "kind": "function",
        "symbol": symbol,
        "text": text,
        "copies": [],
        "reasons": [{"name": "words", "worth": 0.5}],
    }


def found() -> list[dict[str, Any]]:
    return [
        result(1, "retry", 5, "def retry(call):\n    ...\n"),
        result(2, "pause", 1, "def pause(seconds):\n    ...\n"),
        result(3, "test_retry", 1, "def test_retry():\n    ...\n", "tests/test_sample.py"),
    ]


def ask(params: dict[str, Any], cancelled: threading.Event) -> dict[str, Any]:
    query = params["query"]
    results, confidence = found(), 0.8
    if "pause" in query:
        results = [{**hit, "rank": i} for i, hit in enumerate((results[1], results[0], results[2]), 1)]
    if "slow" in query:
        cancelled.wait(0.5)
    if "crash" in query:
        os._exit(3)
    if "nothing" in query:
        results, confidence = [], 0.0
    if "escapes" in query:
        results[0]["symbol"] = "a\x1b[31m $(error) \u202e`b`"
    results = results[: params.get("limit", 10)]
    return {
        "version": 1,
        "query": query,
        "state": STATE["state"],
        "indexed": 1.0,
        "ms": 1.0,
        "confidence": confidence,
        "results": results,
    }


def work(id_: object, cancelled: threading.Event, stage: str) -> bool:
    """Report some progress; False if it was cancelled."""
    for kind, percentage in [("begin", 0), *(("report", n) for n in (25, 50, 75)), ("end", 100)]:
        more = {"mrr": 0.3 + percentage / 1000, "before": 0.3} if stage == "adapting" else {}
        message = f"{stage} {percentage}"
        params = {"id": id_, "kind": kind, "stage": stage, "message": message, "percentage": percentage, **more}
        send({"method": "progress", "params": params})
        if kind != "end" and cancelled.wait(float(os.environ.get("FAKE_PAUSE", "0.02"))):
            return False
    return True


def answer(id_: object, method: str, params: dict[str, Any]) -> None:
    cancelled = CANCELLED[id_]
    query = params.get("query", "")
    said: Any = None
    error: dict[str, Any] | None = None
    if method == "initialize":
        root = params.get("root")
        said = {"protocolVersion": 1, "version": "0.fake", "root": root, "canTrain": params.get("trusted", True)}
    elif method == "ask" and "refuse" in query:
        error = {"code": -32000, "message": "no index", "data": {"kind": "missing", "advice": "Run codesearch index."}}
    elif method == "ask" and "garbage" in query:
        with LOCK:
            OUT.write(b"this is no header at all\r\n\r\n{}")
            OUT.flush()
        return
    elif method == "ask":
        said = ask(params, cancelled)
    elif method == "related":
        more = [{"relation": r, **hit} for r, hit in zip(("caller", "similar", "test"), found(), strict=True)]
        place = {"path": params["path"], "start_line": params["line"], "end_line": params["line"] + 2}
        said = {"version": 1, "state": "fresh", **place, "symbol": "pause", "related": more}
    elif method == "explain":
        parts = [{"name": "words", "worth": 0.5, "why": "retry"}]
        said = {
            "results": [
                {**{k: h[k] for k in ("path", "start_line", "symbol", "score")}, "parts": parts} for h in found()
            ]
        }
    elif method == "status":
        counts = {"files": 2, "chunks": 3, "model": {"name": "fake", "fingerprint": "00"}, "languages": {}}
        said = {"version": 1, **STATE, **counts, "indexing": False, "adapting": False}
    elif method in ("index", "adapt"):
        if not work(id_, cancelled, "indexing" if method == "index" else "adapting"):
            error = {"code": -32800, "message": "cancelled", "data": {"kind": "cancelled", "advice": ""}}
        elif method == "adapt":
            figures = {"base, ranked": 0.3, "adapted, ranked": 0.4}
            said = {"accepted": True, "reason": "better", "figures": figures, "questions": 9, "seconds": 1}
            STATE["adaptation"] = said
        else:
            said = {}
    elif method == "open-at":
        said = {"path": os.path.join(ROOT, params["path"]), "line": params["line"]}  # noqa: PTH118
    elif method == "shutdown":
        said = None
    else:
        error = {"code": -32601, "message": f"no method {method}"}
    if cancelled.is_set() and error is None:
        error = {"code": -32800, "message": "cancelled", "data": {"kind": "cancelled", "advice": ""}}
    send({"id": id_, **({"error": error} if error else {"result": said})}, pieces="pieces" in query)


def main() -> int:
    if os.environ.get("FAKE_OLD"):
        print("No such option: --stdio", file=sys.stderr)
        return 2
    log = os.environ.get("FAKE_LOG")
    while header := sys.stdin.buffer.readline():
        length = int(header.split(b":")[1])
        sys.stdin.buffer.readline()
        message = json.loads(sys.stdin.buffer.read(length))
        if log:
            with open(log, "a") as file:  # noqa: PTH123
                print(json.dumps({"at": time.time(), "pid": os.getpid(), **message}), file=file)
        method, params = message["method"], message.get("params", {})
        if method == "$/cancelRequest":
            if event := CANCELLED.get(params["id"]):
                event.set()
        elif method == "exit":
            return 0
        elif "id" in message:
            CANCELLED[message["id"]] = threading.Event()
            threading.Thread(target=answer, args=(message["id"], method, params), daemon=True).start()
    return 0


ROOT = sys.argv[sys.argv.index("--root") + 1] if "--root" in sys.argv else os.getcwd()  # noqa: PTH109

if __name__ == "__main__":
    sys.exit(main())
