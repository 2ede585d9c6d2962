"""A stand-in for S3: moto's server, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

SECRET: Final = "AKIATHISISNOTAREALKEY", "wJalrXUtnFEMInotarealsecretkeyEXAMPLEKEY"
"""Its credentials: what must be found in no store and no log."""
BUCKET: Final = "fleet"


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """Give the environment in which s3://fleet is an empty bucket."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        address = next(line.split()[-1] for line in server.stderr if "Running on" in line)
        reader = threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True)
        reader.start()  # it would wait for room to write
        said = {
            "AWS_ACCESS_KEY_ID": SECRET[0],
            "AWS_SECRET_ACCESS_KEY": SECRET[1],
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }
        client(said).create_bucket(Bucket=BUCKET)
        yield said
    finally:
        server.kill()
        server.wait()
        reader.join()
        server.stderr.close()


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
