"""The installed command in a real terminal (tmux): it fills it, hands it to an editor, and leaves it as it was."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.conftest import QUESTION

TMUX = shutil.which("tmux")
SHELL = "PS1='shell> ' exec sh -i"


class Terminal:
    """A terminal of 80 by 24 with a shell in it."""

    def __init__(self, folder: Path, root: Path, home: Path) -> None:
        script = shutil.which("codesearch", path=str(Path(sys.executable).parent))
        assert script, "codesearch is not installed: pip install -e '.[dev]'"
        self._socket = str(folder / "tmux")
        self.script = script
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self._run(
            *("-f", os.devnull, "new-session", "-d", "-x", "80", "-y", "24", "-c", str(root), SHELL),
            environment=environment,
        )
        self.wait(r"shell>$")

    def _run(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        command = [TMUX or "tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment).stdout

    def keys(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def line(self, text: str) -> None:
        self._run("send-keys", "-l", text)
        self.keys("Enter")

    @property
    def screen(self) -> str:
        # -J: what the terminal wrapped is one line, as it was written.
        return "\n".join(map(str.rstrip, self._run("capture-pane", "-p", "-J").split("\n"))).rstrip()

    @property
    def colours(self) -> str:
        return self._run("capture-pane", "-p", "-e")

    def wait(self, said: str, seconds: float = 40) -> str:
        end = time.monotonic() + seconds
        while not re.search(said, screen := self.screen):
            assert time.monotonic() < end, f"no {said!r} in\n{screen}"
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def terminal(tmp_path: Path, indexed: Path, home: Path) -> Iterator[Terminal]:
    if not TMUX:
        pytest.skip("tmux is not installed")
    shown = Terminal(tmp_path, indexed, home)
    yield shown
    shown.close()


def test_alone_on_a_terminal_it_searches_opens_an_editor_and_leaves_all_as_it_was(
    terminal: Terminal, tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nclear\necho "opened $1 $2, press enter"\nread answer\necho "$answer" >"$0.said"\n')
    editor.chmod(0o755)
    terminal.line(f"VISUAL={editor} {terminal.script}")
    terminal.wait("ask this code a question")
    terminal._run("send-keys", "-l", QUESTION)
    terminal.wait(r"▌ .*retry\.py:10(.|\n)*def retry_with_backoff")
    terminal.keys("Enter")
    terminal.wait(r"opened \+10 .*/shop/retry\.py, press enter")
    terminal.line("typed in the editor")
    assert QUESTION in terminal.wait("F1 help")
    assert (tmp_path / "editor.said").read_text() == "typed in the editor\n"
    terminal.keys("F1")
    terminal.wait("earlier questions")
    terminal.keys("Escape")
    terminal.keys("C-c")
    assert "F1 help" not in terminal.wait(r"shell>$")
    terminal.line("echo $?; stty -a | grep -c ' echo '")
    terminal.wait(r"0\n1\nshell>$")
    terminal.line(f"{terminal.script} tui")
    terminal.wait("ask this code a question")
    terminal.keys("C-r")
    terminal.wait("earlier questions(.|\n)*call again after a failure")


def test_without_colours_none_reaches_the_terminal_and_an_end_from_outside_restores_it(terminal: Terminal) -> None:
    terminal.line(f"NO_COLOR=1 {terminal.script} tui")
    terminal.wait("ask this code a question")
    terminal._run("send-keys", "-l", QUESTION)
    terminal.wait(r"▌ .*retry\.py:10")
    assert not re.search(r"\x1b\[[\d;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])\b[\d;]*m", terminal.colours)
    assert "\x1b[7m" in terminal.colours
    pane = terminal._run("list-panes", "-F", "#{pane_pid}").strip()
    children = Path(f"/proc/{pane}/task/{pane}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)
    terminal.wait(r"shell>$")
    terminal.line("stty -a | grep -c ' echo '")
    terminal.wait(r"\n1\nshell>$")
