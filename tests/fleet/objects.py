"""moto's server, as S3 and as Google's storage; `standin` runs it. Prints its address, then a line for each request.

In front of moto stand three things:

- A part of an object is read alone: moto reads all of it for each request, and one of a gigabyte is asked for in a
  thousand parts.
- What is put only if it is absent is put one at a time: moto looks first, and writes afterwards.
- Google's XML API is S3's, but for the credentials, which are not looked at, and the header that says "if absent".
  None of Google's emulators that can be installed from a registry has that API, and Lance speaks no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PART: Final = re.compile(r"bytes=(\d+)-(\d+)")
_SIGNED: Final = "AWS4-HMAC-SHA256 Credential=none/20200101/us-east-1/s3/aws4_request"


class Quiet(MotoRequestHandler):
    """Leaves it to `Objects` to say what was asked."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Objects:
    """The application: moto's, with what stands in front."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._absent = Lock()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        wanted = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        print(json.dumps(wanted) + "\n", end="", flush=True)  # in one piece, for there are other threads
        if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4"):
            environ["HTTP_AUTHORIZATION"] = _SIGNED
        if environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH") == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        if environ["REQUEST_METHOD"] == "GET" and (part := _PART.fullmatch(environ.get("HTTP_RANGE", ""))):
            return self._part(environ, start, *map(int, part.groups()))
        if environ.get("HTTP_IF_NONE_MATCH") == "*":
            with self._absent:
                return list(self._moto(environ, start))
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer

    def _part(self, environ: WSGIEnvironment, start: StartResponse, first: int, last: int) -> Iterable[bytes]:
        _, bucket, name = environ["PATH_INFO"].split("/", 2)
        key: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, name)
        if key is None or first >= key.size:
            answer: Iterable[bytes] = self._moto(environ, start)  # says that it is not there
            return answer
        last = min(last, key.size - 1)
        with key.lock:
            key._value_buffer.seek(first)
            content = key._value_buffer.read(last + 1 - first)
        headers = {
            "Content-Range": f"bytes {first}-{last}/{key.size}",
            "Content-Length": str(len(content)),
            "ETag": key.etag,
            "Last-Modified": key.last_modified_RFC1123,
        }
        start("206 PARTIAL CONTENT", list(headers.items()))
        return [content]


def main() -> None:
    server = make_server("127.0.0.1", 0, Objects(), threaded=True, request_handler=Quiet)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
