"""What every test gets: an empty home folder and an environment that says nothing. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SPEAKS = ("CODESEARCH_", "GIT_", "XDG_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES")
"""Beginnings of the variables that would change what codesearch or git do."""


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, nothing of codesearch or git in the environment, and no servers left behind."""
    folder = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(SPEAKS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("CODESEARCH_NO_SERVER", "1")
    return folder
