"""What every test gets: an empty home folder and an environment that says nothing. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SPEAKS = ("CODESEARCH_", "GIT_", "XDG_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES")
"""Beginnings of the variables that would change what codesearch or git do."""


def new_home(factory: pytest.TempPathFactory) -> Path:
    """Return a home folder with nothing in it but the secret of the one user that all tests are.

    An index that one fixture has built is then another's own too.
    """
    folder = factory.mktemp("home")
    for data in (".local/share", "Library/Application Support"):
        key = folder / data / "codesearch" / "key"
        key.parent.mkdir(mode=0o700, parents=True)
        key.write_bytes(b"a secret that all the tests know."[:32])
    return folder


@pytest.fixture(scope="session", autouse=True)
def home_of_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `home` is for each test, for what is made for many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(new_home(tmp_path_factory)))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, nothing of codesearch or git in the environment, and no servers left behind."""
    folder = new_home(tmp_path_factory)
    for name in os.environ:
        if name.startswith(SPEAKS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("CODESEARCH_NO_SERVER", "1")
    return folder


@pytest.fixture(scope="session")
def s3(home_of_fixtures: None) -> Iterator[dict[str, str]]:
    """The environment in which s3://fleet is a bucket, and gs://fleet the same; it is started once."""
    from tests.fleet import standin

    with standin.s3() as said:
        yield said
