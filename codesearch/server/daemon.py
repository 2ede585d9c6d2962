"""The life of the server's process: it meets its clients at one place, and ends when nobody needs it.

It ends when it was idle for long, when what it serves (a root, its index, a store) or its socket are gone, on SIGTERM,
and when a client asks it to. The lock settles which of several that were started at once is the server; the others end
before they load anything.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from filelock import FileLock, Timeout

from codesearch import memory
from codesearch.server import protocol
from codesearch.server.protocol import Place, ProtocolError

if TYPE_CHECKING:
    from argparse import Namespace

    from codesearch.server.served import Served
    from codesearch.server.streams import Line

IDLE: Final = 1800.0
"""Seconds without a request after which the server ends."""
_TICK: Final = 0.5
"""Seconds between two looks at whether it is time to end."""
_LOOK: Final = 5.0
"""Seconds between two looks at whether root, index and socket are still there."""
_REST: Final = 1.0
"""Seconds without a request after which memory is given back."""
_READ: Final = 10.0
"""Seconds for a client to send its request."""
_THREADS: Final = 64
"""Requests under way at most; others wait to be accepted, and their clients not for long."""
_GRACE: Final = 2.0
"""Seconds for another server to end when it is asked to, before it is killed; and again for the lock to be free."""
_FINISH: Final = 10.0
"""Seconds for requests under way to be completed when the server ends."""
_STRANGERS: Final = 3
"""Clients in a row from other surroundings, after which this server stands in the way of one that would serve them."""
_LOG: Final = 256 * 1024
"""Bytes of the log beyond which it is begun anew."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Count:
    """What `serve --status` tells."""

    started: float = field(default_factory=time.time)
    answered: int = 0
    declined: int = 0
    strangers: int = 0


class Daemon:
    """The server of one workspace, or of one store for one access."""

    def __init__(self, served: Served, idle: float = IDLE, *, log_file: TextIO | None = None) -> None:
        """Serve what is to be SERVED; log to LOG_FILE, or where that says."""
        self.place = served.place
        self._served = served
        self._idle = idle
        self._log_file = log_file
        self._code = protocol.fingerprint()
        self._token = secrets.token_hex(32)
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._loaded = False
        self._count = _Count()
        self._last = time.monotonic()
        self._lines: set[Line] = set()
        self._changing = threading.Lock()
        self._slots = threading.BoundedSemaphore(_THREADS)

    def run(self, *, replace: bool = False) -> bool:
        """Serve until it is time to end; return False where another server does already.

        With REPLACE the other one is ended first.
        """
        folder = Path(self.place.folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.place.trusted():
            raise PermissionError(f"{folder} is not a folder of this user alone (0700)")
        lock = FileLock(self.place.lock, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not replace or not _end(self.place):
                return False
            try:
                lock.acquire(timeout=_GRACE, poll_interval=0.02)
            except Timeout:
                return False
        memory.be_small()
        Path(self.place.facts).unlink(missing_ok=True)  # of one that was killed: no facts are better than old ones
        try:
            with self._listen() as listener:
                self._serve(listener)
        finally:
            self._leave()
            lock.release()
        return True

    def _listen(self) -> socket.socket:
        if self.place.unix:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            Path(self.place.socket).unlink(missing_ok=True)  # of one that was killed
            before = os.umask(0o177)
            try:
                listener.bind(self.place.socket)
            finally:
                os.umask(before)
            self._inode = Path(self.place.socket).stat().st_ino
        else:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.settimeout(_TICK)
        facts: dict[str, Any] = {"pid": os.getpid(), "born": _born(os.getpid()), "code": self._code}
        if not self.place.unix:
            facts |= {"port": listener.getsockname()[1], "token": self._token}
        fresh = Path(self.place.facts + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(facts, file)
        fresh.replace(self.place.facts)
        return listener

    def _leave(self) -> None:
        names = [self.place.facts]
        with suppress(OSError):
            if self.place.unix and Path(self.place.socket).stat().st_ino == self._inode:
                names.append(self.place.socket)
        for name in names:
            Path(name).unlink(missing_ok=True)

    def _serve(self, listener: socket.socket) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
            if hasattr(signal, "SIGHUP"):
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # Clients are met at once: one that waits for what is being loaded waits no longer than if it loaded it itself.
        for work in (self._load, self._pulse):
            threading.Thread(target=work, daemon=True).start()
        try:
            why = self._accept(listener)
            listener.close()
            deadline = time.monotonic() + _FINISH
            while self._lines and time.monotonic() < deadline:
                time.sleep(0.02)
            log.info("ended: %s", why)
        finally:
            self._served.close()

    def _load(self) -> None:
        """Load what answers, then warm it up."""
        try:
            from codesearch.server.streams import dispatch

            self._served.load()
            out = self._log_file or _log_file(self._served.log)
            dispatch(out)
            logging.basicConfig(stream=out, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
            self._loaded = True
            log.info("serving %s, process %d", self._served.name, os.getpid())
        except Exception:
            log.exception("loading failed")
            self._stop.set()
            return
        finally:
            self._ready.set()
        self._warm_up()

    def _accept(self, listener: socket.socket) -> str:
        """Accept clients until it is time to end; return why it is."""
        looked = time.monotonic()
        used = True
        while not self._stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                connection = None
            except OSError as error:
                log.warning("can not accept: %s", error)
                time.sleep(_TICK)
                continue
            if connection is not None:
                self._slots.acquire()
                threading.Thread(target=self._meet, args=(connection,), daemon=True).start()
            now = time.monotonic()
            if self._lines:
                self._last = now
                used = True
            elif used and now - self._last > _REST:
                used = False
                memory.give_back()
            elif now - self._last > self._idle:
                return f"idle for {self._idle:g} s"
            if now - looked > _LOOK:
                looked = now
                if gone := self._gone():
                    return gone
        return "asked to"

    def _gone(self) -> str:
        """Return what is missing that the server lives by, or nothing."""
        for path in self._served.watched:
            if not path.is_dir():
                return f"{path} is gone"
        if self.place.unix:
            try:
                same = Path(self.place.socket).stat().st_ino == self._inode
            except OSError:
                same = False
            if not same:
                return "the socket is gone"
        return ""

    def _warm_up(self) -> None:
        from codesearch.server.served import DeclinedError

        try:
            self._served.warm_up()
        except DeclinedError:
            log.info("the index is not ready yet")
        except Exception:
            log.exception("warming up failed")

    def _pulse(self) -> None:
        while True:
            time.sleep(protocol.PULSE)
            with self._changing:
                lines = list(self._lines)
            for line in lines:
                line.pulse()

    def _meet(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._talk(connection)
        except (OSError, ProtocolError, ValueError, KeyError, TypeError) as error:
            log.warning("a client was sent away: %s", error or type(error).__name__)
        finally:
            self._slots.release()

    def _talk(self, connection: socket.socket) -> None:
        from codesearch.server.streams import Line

        connection.settimeout(_READ)
        kind, payload = protocol.receive(connection, protocol.MAX_REQUEST)
        request = json.loads(payload)
        if kind != protocol.REQUEST or not isinstance(request, dict):
            raise ProtocolError("no request")
        if not self.place.unix and not hmac.compare_digest(str(request.get("token")).encode(), self._token.encode()):
            raise ProtocolError("a wrong token")
        line = Line(connection)
        line.send(protocol.ALIVE)
        match request.get("do"):
            case protocol.STOP:
                self._stop.set()
                line.send(protocol.EXIT, b"0")
            case protocol.STATUS:
                line.send(protocol.OUT, json.dumps(self._status()).encode())
                line.send(protocol.EXIT, b"0")
            case _:
                self._command(line, request)

    def _command(self, line: Line, request: dict[str, Any]) -> None:
        # Who speaks JSON-RPC may be no program of ours, and sees the version that it speaks to.
        rpc = request.get("do") == protocol.RPC
        if (request.get("code", self._code) if rpc else request["code"]) != self._code:
            line.send(protocol.DECLINE, protocol.OTHER_CODE.encode())
            return
        self._last = time.monotonic()
        with self._changing:
            self._lines.add(line)
        try:
            self._ready.wait()
            if not self._loaded:
                self._decline(line, "nothing to serve")
            elif rpc:
                self._rpc(line, request)
            else:
                self._answer(line, request)
        finally:
            with self._changing:
                self._lines.discard(line)

    def _answer(self, line: Line, request: dict[str, Any]) -> None:
        from codesearch.server.request import answer
        from codesearch.server.served import DeclinedError

        try:
            code = answer(line, request, self._served)
            if not line.gone:
                line.send(protocol.EXIT, str(code).encode())
            self._count.answered += 1
            self._count.strangers = 0
        except DeclinedError as why:
            self._decline(line, str(why))
        except BrokenPipeError:
            return
        except Exception:
            log.exception("an answer failed; the client makes it")
            self._decline(line, "error")

    def _rpc(self, line: Line, request: dict[str, Any]) -> None:
        from codesearch.server.once import answer

        try:
            well = answer(line, request.get("request"), self._served.verbs)
            line.send(protocol.EXIT, b"0" if well else b"1")
            self._count.answered += 1
        except BrokenPipeError:
            return

    def _decline(self, line: Line, why: str) -> None:
        self._count.declined += 1
        if why == "environment":
            self._count.strangers += 1
            if self._count.strangers >= _STRANGERS:
                self._stop.set()
        line.send(protocol.DECLINE, why.encode())

    def _status(self) -> dict[str, Any]:
        count = self._count
        return {
            "pid": os.getpid(),
            **self._served.facts,
            "code": self._code,
            "seconds": round(time.time() - count.started, 1),
            "answered": count.answered,
            "declined": count.declined,
            "idle": round(time.monotonic() - self._last, 1),
            "bytes": memory.resident(),
        }


def _log_file(path: Path) -> TextIO:
    """Return the log at PATH, or nothing's where that can not be written."""
    try:
        long = path.exists() and path.stat().st_size > _LOG
        return path.open("w" if long else "a", buffering=1, encoding="utf-8", errors="backslashreplace")
    except OSError:
        return Path(os.devnull).open("w")


def _born(pid: int) -> str:
    """Return when a process was started, in the kernel's words, or nothing where that is not told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _end(place: Place) -> bool:
    """End the server at PLACE, which holds its lock; return whether there is one to wait for."""
    pid = place.read().get("pid")
    if not isinstance(pid, int) or pid <= 1:
        return True  # it is about to say, or to end
    if _born(pid) != place.read().get("born"):
        return True  # another process has its number now
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            time.sleep(0.02)
            if place.read().get("pid") != pid:
                return True
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return True


def main(argv: list[str] | None = None) -> int:
    """Serve as `client` starts it."""
    import argparse

    from codesearch.settings import parse_duration

    parser = argparse.ArgumentParser(prog="codesearch.server", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--root", type=Path)
    what.add_argument("--store")
    parser.add_argument("--index-dir", default="")
    parser.add_argument("--visibility", action="append", default=[])
    parser.add_argument("--allow", type=Path)
    parser.add_argument("--replace", action="store_true")
    said = parser.parse_args(argv)
    wanted = os.environ.get("CODESEARCH_SERVER_IDLE", "")
    try:
        idle = parse_duration(wanted, "CODESEARCH_SERVER_IDLE") if wanted else IDLE
        return 0 if Daemon(_served(said), idle).run(replace=said.replace) else 1
    except Exception as error:
        print(f"codesearch.server: {error}", file=sys.stderr)
        return 2


def _served(said: Namespace) -> Served:
    if said.store:
        from codesearch.fleet.access import access
        from codesearch.server.store import Store

        return Store(said.store, access(said.visibility, said.allow))
    from codesearch.server.served import Folder

    return Folder(said.root, said.index_dir)
