"""Every kind of object storage does what a store needs of it: S3 and Google's by moto, Azure's by Azurite.

Azurite is not on the package index: its tests are skipped where `npm install --global azurite` was not done.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import lance
import pyarrow as pa
import pytest

from codesearch import bundle
from codesearch.fleet.access import Access
from codesearch.fleet.commit import Writer
from codesearch.fleet.search import Fleet
from codesearch.fleet.sources import Source
from codesearch.fleet.tidy import index_all
from codesearch.paths import base_bundle
from tests.bench.fleet.same import faults, of_store
from tests.fleet import standin
from tests.fleet.conftest import built, filled

AZURE = pytest.param(
    "az",
    marks=pytest.mark.skipif(not shutil.which(standin.AZURITE), reason="needs Azurite: npm install --global azurite"),
)
Place = tuple[str, dict[str, str]]


@pytest.fixture(scope="module", params=["s3", "gs", AZURE])
def place(request: pytest.FixtureRequest, s3: dict[str, str]) -> Iterator[Place]:
    """The URI of a bucket, and the environment in which it is there."""
    uri = f"{request.param}://{standin.BUCKET}/{request.param}"  # S3 and Google's are one bucket
    if request.param == "az":
        with standin.azure() as said:
            yield uri, said
    else:
        names = {"s3": "AWS_", "gs": "GOOGLE_"}[request.param]
        yield uri, {name: value for name, value in s3.items() if name.startswith(names)}


@pytest.fixture
def bucket(place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    uri, said = place
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    return uri


def together(work: Any, count: int) -> None:
    """Do WORK, which is told a number, in COUNT threads that begin at a time."""
    barrier = Barrier(count)

    def one(number: int) -> None:
        barrier.wait()
        work(number)

    threads = [Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_commits_at_a_time_none_takes_the_place_of_another(bucket: str) -> None:
    """A version is put if it is absent, and whoever comes second writes the next."""
    uri = f"{bucket}/race.lance"
    lance.write_dataset(pa.table({"who": pa.array([], pa.int64())}), uri)

    def append(who: int) -> None:
        for _ in range(4):
            lance.write_dataset(pa.table({"who": [who]}), uri, mode="append")

    together(append, 6)
    found = lance.dataset(uri)
    assert sorted(found.to_table()["who"].to_pylist()) == sorted([*range(6)] * 4)
    assert found.version == 1 + 6 * 4


def test_a_repository_costs_two_requests(shop: Path, billing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker opens the tables once: what it reads then names every fragment, and grows with the store."""

    def requests(*folders: Path) -> standin.Requests:
        counted = standin.Requests()
        with standin.s3(counted) as said:
            for name, value in said.items():
                monkeypatch.setenv(name, value)
            uri = f"s3://{standin.BUCKET}/of{len(folders)}"
            Writer.open(uri, bundle.load(base_bundle()))
            for folder in folders:
                built(Source(str(folder), folder.name), uri)
        return counted

    assert requests(shop, billing) - requests(shop) == {("PUT", "data"): 2}


def test_drivers_at_a_time_write_what_one_does_into_a_folder(
    bucket: str, shop: Path, billing: Path, tmp_path: Path
) -> None:
    sources = [Source(str(folder), f"acme/{folder.name}") for folder in (shop, billing)]
    names = [source.name for source in sources]
    here, there = str(tmp_path / "store"), f"{bucket}/store"
    filled(here, sources)
    done: list[Any] = []

    def drive(_: int) -> None:
        done.extend(Writer.open(there, bundle.load(base_bundle())).commit([built(source, there) for source in sources]))

    together(drive, 3)
    index_all(Writer.open(there, bundle.load(base_bundle())))
    assert sorted(entry.repository for entry in done) == sorted(names)
    assert faults(there) == []
    assert dict(of_store(there, names)) == dict(of_store(here, names))
    for question in ("send the invoice by mail", "how is the sum of the cart computed"):
        one, other = (Fleet(uri, Access()).ask(question, min_score=0).hits for uri in (here, there))
        assert [hit.id for hit in one] == [hit.id for hit in other] != []


@pytest.mark.parametrize("place", ["gs", AZURE], indirect=True)
def test_the_commands_work_there(place: Place, cluster: dict[str, str], billing: Path, tmp_path: Path) -> None:
    uri, said = place
    environment = {**cluster, **said}
    if uri.startswith("az"):  # of which the cluster does not know
        del environment["RAY_ADDRESS"]

    def run(*arguments: str) -> str:
        argv = [sys.executable, "-P", "-m", "codesearch.cli", *arguments, "--store", f"{uri}/commands"]
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("fleet", "index", str(billing))
    (hit,) = json.loads(run("ask", "send the invoice by mail", "--json", "-n", "1"))["results"]
    assert (hit["repository"], hit["symbol"]) == ("acme/billing", "send_invoice")
