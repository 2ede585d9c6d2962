"""Runs of the installed command, by a Ray cluster, into a bucket: what is in, what is said, and what a kill costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.conftest import BILLING, Command, commit
from tests.fleet.holding import Holding, worker_of
from tests.fleet.standin import BUCKET, SECRET, client

CHECK = """
import json, sys
from collections import Counter
from codesearch.fleet.schema import ENTRY, CURSOR
from codesearch.store import connect
table = connect(sys.argv[1]).open_table("chunks")
rows = table.search().select(["repository", "commit", "kind", "digest", "copy", "path"]).to_arrow().to_pylist()
chunks = [row for row in rows if row["kind"] not in (ENTRY, CURSOR)]
print(json.dumps({
    "version": table.version,
    "cursors": sum(row["kind"] == CURSOR for row in rows),
    "entries": sorted([row["repository"], row["commit"]] for row in rows if row["kind"] == ENTRY),
    "chunks": Counter(row["repository"] for row in chunks),
    "commits": sorted({(row["repository"], row["commit"]) for row in chunks}),
    "twice": len(chunks) - len({(r["repository"], r["digest"], r["copy"]) for r in chunks}),
}))
"""


def inside(store: str, cluster: dict[str, str]) -> dict[str, Any]:
    """Return what is in STORE, as whoever has its credentials reads it."""
    done = subprocess.run([sys.executable, "-c", CHECK, store], capture_output=True, text=True, env=cluster, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def events(said: subprocess.CompletedProcess[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in said.stdout.splitlines():
        event = json.loads(line)
        found.setdefault(event["event"], []).append(event)
    return found


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Holding]:
    commit(tmp_path / "far", {"far.py": "def far_away():\n    '''Beyond the seas.'''\n"})
    server = Holding(tmp_path / "far")
    yield server
    server.close()


def test_a_run_and_the_next_and_what_is_asked(
    run: Command, cluster: dict[str, str], shop: Path, billing: Path, tmp_path: Path
) -> None:
    store = "s3://fleet/run"
    listed = tmp_path / "list"
    broken = "http://someone:s3kr1t@127.0.0.1:1/acme/gone.git"
    listed.write_text(f"{shop} visibility=public\n{broken}\n{billing}\n")

    first = run("fleet", "index", listed, "--store", store, "--json", "--retries", "1")
    assert first.returncode == 2, first.stderr
    said = events(first)
    assert "indexed" in said, first.stdout + first.stderr
    assert {one["repository"] for one in said["indexed"]} == {"acme/shop", "acme/billing"}
    (failed,) = said["failed"]
    assert failed["repository"] == "127.0.0.1/acme/gone" and "connect" in failed["reason"].lower()
    before = inside(store, cluster)
    assert before["twice"] == 0 and set(before["chunks"]) == {"acme/shop", "acme/billing"}

    again = run("fleet", "index", shop, billing, "--store", store, "--json", "--visibility", "public")
    assert again.returncode == 0, again.stderr
    assert [one["repository"] for one in events(again)["unchanged"]] == ["acme/shop"]
    assert [one["repository"] for one in events(again)["indexed"]] == ["acme/billing"], "it is public now"
    new = commit(billing, {"more.py": "def more():\n    '''Dunning letters.'''\n"})
    third = run("fleet", "index", billing, "--store", store, "--visibility", "public")
    assert third.returncode == 0 and f"acme/billing {new[:12]}" in third.stderr and not third.stdout
    after = inside(store, cluster)
    assert after["twice"] == 0 and after["cursors"] == 1
    assert [name for name, _ in after["entries"]] == ["acme/billing", "acme/shop"]
    assert ["acme/billing", new] in after["commits"] and len(after["commits"]) == 2
    assert after["chunks"]["acme/billing"] == before["chunks"]["acme/billing"] + 1

    asked = run("ask", "dunning letters", "--store", store, "--json", "-n", "1")
    (hit,) = json.loads(asked.stdout)["results"]
    assert (hit["repository"], hit["commit"], hit["path"]) == ("acme/billing", new, "more.py")
    lines = run("ask", "dunning letters", "--store", store, "--repository", "billing", "-n", "1")
    assert lines.stdout == "acme/billing/more.py:2:    '''Dunning letters.'''\n"
    nothing = run("ask", "dunning letters", "--store", store, "--visibility", "internal")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    status = run("fleet", "status", "--store", store)
    assert "acme/shop" in status.stdout and "2 repositories" in status.stdout
    assert run("fleet", "remove", "acme/shop", "--store", store).returncode == 0
    assert [name for name, _ in inside(store, cluster)["entries"]] == ["acme/billing"]

    said_by_all = "".join(done.stdout + done.stderr for done in (first, again, third, asked, lines, status))
    secrets = (*SECRET, "s3kr1t", "someone")
    assert not [secret for secret in secrets if secret in said_by_all]
    s3 = client(cluster)
    objects = s3.list_objects_v2(Bucket=BUCKET, Prefix="run/")["Contents"]
    assert len(objects) > 10
    for one in objects:
        content = s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        assert not [secret for secret in secrets if secret.encode() in content], one["Key"]


@pytest.mark.parametrize("retries", ["0", "2"])
def test_a_worker_that_is_killed_costs_nothing(
    cluster: dict[str, str], held: Holding, shop: Path, retries: str
) -> None:
    """Ray does again what it did; or, where it may not, the driver has it done file by file, in case a file was it."""
    store = f"s3://fleet/worker{retries}"
    argv = [sys.executable, "-m", "codesearch.cli", "fleet", "index", held.url, str(shop), "--store", store, "--json"]
    argv += ["--retries", retries]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cluster, text=True) as driver:
        os.kill(worker_of(held.held.get(timeout=60)), signal.SIGKILL)
        out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, out + err
    found = inside(store, cluster)
    assert (found["twice"], found["cursors"]) == (0, 1)
    assert {name for name, _ in found["entries"]} == set(found["chunks"]) == {"127.0.0.1/held", "acme/shop"}
    assert Counter(json.loads(line)["event"] for line in out.splitlines())["indexed"] == 2


@pytest.mark.parametrize(("deadly", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_a_driver_that_is_killed_loses_and_duplicates_nothing(
    run: Command, cluster: dict[str, str], held: Holding, shop: Path, billing: Path, deadly: int, code: int
) -> None:
    """It dies while one worker is at work, what the others did committed or not: the next run does what is left."""
    store = f"s3://fleet/driver{deadly}"
    sources = [str(shop), held.url, str(billing)]
    argv = [sys.executable, "-m", "codesearch.cli", "fleet", "index", *sources, "--store", store, "--batch", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cluster, text=True) as driver:
        held.held.get(timeout=60)
        assert driver.stderr is not None
        first = driver.stderr.readline()  # of a repository that is committed
        driver.send_signal(deadly)
        assert driver.wait(60) == code
    assert ": " in first
    between = inside(store, cluster)
    assert between["twice"] == 0 and between["cursors"] == 1
    assert {name for name, _ in between["entries"]} == set(between["chunks"]) <= {"acme/shop", "acme/billing"}
    assert between["entries"]
    done = run("fleet", "index", *sources, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    after = inside(store, cluster)
    assert after["twice"] == 0 and after["cursors"] == 1
    assert {name for name, _ in after["entries"]} == {"acme/shop", "acme/billing", "127.0.0.1/held"}
    assert len(events(done).get("unchanged", [])) == len(between["entries"])
    assert after["chunks"]["acme/billing"] >= len(BILLING)


def test_workers_that_die_each_time_are_an_error_that_says_what_to_do(cluster: dict[str, str]) -> None:
    """As they do where memory is short while fragments are merged, which nothing else can take over."""
    dying = """
import os, ray
from codesearch.errors import StorageError
from codesearch.fleet import drive
@ray.remote(max_retries=0)
def die(): os._exit(1)
try:
    with drive.cluster():
        ray.get(die.remote())
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", dying], capture_output=True, text=True, env=cluster, timeout=60)
    assert "lost work" in done.stdout and "run the same command again" in done.stdout, done.stderr


def test_nothing_in_the_folder_one_stands_in_is_taken_for_a_module(run: Command, tmp_path: Path) -> None:
    """Ray's workers look for modules where the driver stands, and that may be in a stranger's repository."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in ("numpy", "lance", "git", "json", "multiprocessing", "sitecustomize", "psutil", "colorama"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name}')\n")
    done = run("fleet", "index", ".", "--store", "../store", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "store/chunks.lance").is_dir()
    assert not (tmp_path / "ran").exists()


def test_a_machine_that_is_too_small_is_not_waited_for(cluster: dict[str, str], shop: Path, tmp_path: Path) -> None:
    alone = {name: value for name, value in cluster.items() if name != "RAY_ADDRESS"}
    argv = [sys.executable, "-P", "-m", "codesearch.cli", "fleet", "index", str(shop), "--store", "store"]
    done = subprocess.run(
        [*argv, "--cpus", "1e6"], capture_output=True, text=True, env=alone, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 2 and "Give --cpus and --memory less" in done.stderr
    assert not (tmp_path / "store").exists()


def test_a_place_that_is_none_or_can_not_be_reached(run: Command, cluster: dict[str, str], shop: Path) -> None:
    nowhere = run("fleet", "index", shop, "--store", "ftp://host/x")
    assert nowhere.returncode == 2 and "no place for a store" in nowhere.stderr
    absent = run("ask", "anything", "--store", "s3://fleet/absent")
    assert absent.returncode == 2 and "there is no store at" in absent.stderr
    unreachable = {**cluster, "AWS_ENDPOINT": "http://127.0.0.1:1"}
    argv = [sys.executable, "-P", "-m", "codesearch.cli", "ask", "anything", "--store", "s3://fleet/run"]
    done = subprocess.run(argv, capture_output=True, text=True, env=unreachable, cwd="/", timeout=120)
    assert done.returncode == 2 and "can not be read or written" in done.stderr, done.stderr
    assert not [secret for secret in SECRET if secret in done.stdout + done.stderr]
    mixed = run("ask", "anything", "--store", "s3://fleet/absent", "--wait")
    assert mixed.returncode == 2 and "--wait is for a folder" in mixed.stderr
