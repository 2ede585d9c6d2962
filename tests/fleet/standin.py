"""What a fleet stands on, in processes of its own: S3 and Google's storage (`objects`), Azure's, and a Ray cluster."""

from __future__ import annotations

import base64
import email.utils
import hmac
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

SECRET: Final = "AKIATHISISNOTAREALKEY", "wJalrXUtnFEMInotarealsecretkeyEXAMPLEKEY"
"""Its credentials: what must be found in no store and no log."""
BUCKET: Final = "fleet"

Requests = Counter[tuple[str, str]]
"""How often what was done, by method and by what kind of object: the folder of a table that it is in, or a list."""

_CLUSTER: Final = """
import sys, ray
said = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000, _temp_dir=sys.argv[1])
print(said.address_info["address"], flush=True)
sys.stdin.read()
"""


@contextmanager
def s3(requests: Requests | None = None) -> Iterator[dict[str, str]]:
    """Give the environment in which s3://fleet is an empty bucket, gs://fleet the same, and count REQUESTS to it."""
    command = [sys.executable, "-m", "tests.fleet.objects"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address, "moto has not started"
        counted: Requests = Counter() if requests is None else requests
        reader = threading.Thread(target=_count, args=(server.stdout, counted))
        reader.start()  # it would wait for room to write
        key = {"gcs_base_url": address, "disable_oauth": True, "client_email": "", "private_key": ""}
        said = {
            "AWS_ACCESS_KEY_ID": SECRET[0],
            "AWS_SECRET_ACCESS_KEY": SECRET[1],
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key | {"private_key_id": ""}),
            "GOOGLE_ALLOW_HTTP": "true",
        }
        try:
            client(said).create_bucket(Bucket=BUCKET)
            yield said
        finally:
            server.kill()
            reader.join()


def _count(lines: Iterator[str], requests: Requests) -> None:
    for line in lines:
        method, path, query = json.loads(line)
        folders = [part for part in path.split("/") if part.startswith("_") or part == "data"]
        requests[method, folders[0] if folders else "list" if "list-type" in query else "others"] += 1


AZURITE: Final = "azurite-blob"
"""The command of Azurite, which `npm install --global azurite` brings."""
_ACCOUNT: Final = "devstoreaccount1"
_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of every Azurite, and what Azure's clients take where they are told that it is one."""


@contextmanager
def azure() -> Iterator[dict[str, str]]:
    """Give the environment in which az://fleet is an empty container."""
    command = [AZURITE, "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--blobPort", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            address = next(line.split()[-1] for line in server.stdout if "successfully listens" in line)
            _create_container(address)
            yield {
                "AZURE_STORAGE_USE_EMULATOR": "true",
                "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
                "AZURITE_BLOB_STORAGE_URL": address,
            }
        finally:
            server.kill()


def _create_container(address: str) -> None:
    """Make the container, signed as Azure's "Authorize with Shared Key" says."""
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    canonical = "".join(f"{name}:{value}\n" for name, value in headers.items())
    said = "PUT" + "\n" * 12 + canonical + f"/{_ACCOUNT}/{_ACCOUNT}/{BUCKET}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(_KEY), said.encode(), "sha256")).decode()
    headers |= {"Authorization": f"SharedKey {_ACCOUNT}:{signature}", "Content-Length": "0"}
    url = f"{address}/{_ACCOUNT}/{BUCKET}?restype=container"
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=30):
        pass


def client(said: Mapping[str, str]) -> Any:
    """Return boto's client of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # boto's own
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=said["AWS_ENDPOINT"],
            aws_access_key_id=SECRET[0],
            aws_secret_access_key=SECRET[1],
            region_name=said["AWS_REGION"],
        )


@contextmanager
def cluster(said: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int]]:
    """Give the environment in which RAY_ADDRESS names a cluster whose workers have what is SAID, and its process."""
    environment = {**os.environ, **said, "RAY_AUTH_MODE": "disabled", "CODESEARCH_NO_SERVER": "1"}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # sockets have short names
        command = [sys.executable, "-c", _CLUSTER, folder]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, env=environment, text=True) as head:
            assert head.stdout is not None and head.stdin is not None
            address = head.stdout.readline().strip()
            assert address, "Ray has not started"
            yield {**environment, "RAY_ADDRESS": address}, head.pid
            head.stdin.close()
