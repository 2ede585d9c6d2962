"""Gitignore patterns: one ignore file in; for a name in a folder, the line of the file that decides about it.

Why not pathspec: an ignore file is part of a repository, so it is hostile input. pathspec turns a glob into a
backtracking regular expression (one line of ten stars hangs it on one long name), raises on `[z-a]`, and answers for
whole paths, where git and ripgrep ask about each folder on the way down, which is what lets `.ignore` take back a
folder that `.gitignore` drops. Here every star is an atomic group, so that matching takes time proportional to
pattern times name; names, suffixes and paths without a wildcard, which most lines are, become look-ups in a
dictionary. The rules are those of git's `dir.c` and `wildmatch.c`; the tests compare with git itself on generated
patterns and names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES = 64 * 1024
"""An ignore file with more bytes than this is not applied. Real ones have a tenth of it, and every name is held
against every line."""

_WILD = re.compile(r"[*?\[\\]")

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"!-\~",
    "lower": "a-z",
    "print": r" -\~",
    "punct": r"!-/:-@\[-`{-\~",
    "space": r" \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}

_ANY_FOLDERS = "(?:[^/]+/)*?"
"""What `**/` stands for: any number of folders, as few as will do."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file."""

    where: str
    """File, line number and text, as a person is shown them: `src/.gitignore:3: *.log`."""
    negated: bool
    """The line begins with `!`: what it matches is wanted after all."""


class IgnoreFile:
    """The patterns of one ignore file, compiled.

    Args:
        content: the file's bytes.
        origin: the file's name as a person is shown it.
        base: the file's folder relative to ROOT: `""` or `"src/"`.
        above: for a file in a folder above ROOT, ROOT relative to that folder: `"sub/root/"`; else `""`.
    """

    __slots__ = ("_above", "_cut", "_files", "_folders", "_patterns", "negates")

    def __init__(self, content: bytes, origin: str, base: str = "", above: str = "") -> None:
        self._cut = len(base)
        self._above = above
        self._patterns: list[Pattern] = []
        self._files = _Table()
        self._folders = _Table()
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        for number, line in enumerate(text.split("\n"), 1):
            self._add(line, f"{origin}:{number}: ")
        self._files.finish()
        self._folders.finish()
        self.negates = any(pattern.negated for pattern in self._patterns)
        """Whether a line takes anything back."""

    def match(self, path: str, name: str, folder: bool) -> Pattern | None:
        """Return the last pattern that matches this very entry, or None.

        Args:
            path: relative to ROOT, and below the file's folder.
            name: the last part of PATH.
            folder: whether it is one. What lies in an ignored folder is for the caller not to ask about.
        """
        table = self._folders if folder else self._files
        best = table.names.get(name, -1)
        if table.suffixes:
            dot = name.find(".")
            while dot >= 0:
                best = max(best, table.suffixes.get(name[dot:], -1))
                dot = name.find(".", dot + 1)
        if table.name_globs:
            best = table.name_globs.last(name, best)
        if table.paths or table.path_globs:
            relative = self._above + path[self._cut :]
            best = max(best, table.paths.get(relative, -1))
            best = table.path_globs.last(relative, best)
        return self._patterns[best] if best >= 0 else None

    def _add(self, line: str, where: str) -> None:
        glob = _trim(line.removesuffix("\r"))
        if glob.startswith("#"):
            return
        negated = glob.startswith("!")
        glob = glob.removeprefix("!")
        only_folders = glob.endswith("/")
        glob = glob.removesuffix("/")
        if not glob:
            return
        position = len(self._patterns)
        self._patterns.append(Pattern(where + line.rstrip(), negated))
        for table in (self._folders,) if only_folders else (self._folders, self._files):
            table.add(glob, position)


class _Globs:
    """Patterns with wildcards: one expression that says whether any of them matches, then each of them, last first."""

    __slots__ = ("_any", "_each")

    def __init__(self, sources: list[tuple[int, str]]) -> None:
        self._each: list[tuple[int, str | re.Pattern[str]]] = [*reversed(sources)]
        self._any = re.compile("|".join(source for _, source in sources), re.DOTALL) if sources else None

    def __bool__(self) -> bool:
        return self._any is not None

    def last(self, text: str, best: int) -> int:
        """Return the greatest position, at least BEST, whose pattern matches TEXT."""
        if self._any is None or self._any.fullmatch(text) is None:
            return best
        for i, (position, source) in enumerate(self._each):
            if position < best:
                break
            if isinstance(source, str):
                source = re.compile(source, re.DOTALL)
                self._each[i] = (position, source)
            if source.fullmatch(text):
                return position
        return best


class _Table:
    """The patterns that can match files, or those that can match folders, by how they are looked up."""

    __slots__ = ("_name_sources", "_path_sources", "name_globs", "names", "path_globs", "paths", "suffixes")

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.suffixes: dict[str, int] = {}
        self.paths: dict[str, int] = {}
        self._name_sources: list[tuple[int, str]] = []
        self._path_sources: list[tuple[int, str]] = []

    def add(self, glob: str, position: int) -> None:
        """Take in GLOB, without its `!` and its last `/`; a later POSITION wins."""
        anchored = "/" in glob
        glob = glob.removeprefix("/")
        if not _WILD.search(glob):
            (self.paths if anchored else self.names)[glob] = position
        elif not anchored and glob.startswith("*.") and not _WILD.search(glob, 1):
            self.suffixes[glob[1:]] = position
        elif (source := _expression(glob, anchored)) is not None:
            (self._path_sources if anchored else self._name_sources).append((position, source))

    def finish(self) -> None:
        """Compile what was taken in."""
        self.name_globs = _Globs(self._name_sources)
        self.path_globs = _Globs(self._path_sources)


def _trim(line: str) -> str:
    """Drop the trailing spaces that no backslash protects."""
    bare = line.rstrip(" ")
    slashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if slashes % 2 and bare != line else bare


_STAR = "*"
_FOLDERS = "**"
_STARS = re.compile(r"\*+")


def _expression(glob: str, anchored: bool) -> str | None:
    """Return the regular expression for a full match of GLOB, or None where it matches nothing."""
    segments = _segments(glob, anchored)
    if segments is None or [] in segments:
        return None
    blocks: list[list[str]] = [[]]
    for segment in segments:
        if segment == [_FOLDERS]:
            blocks.append([])
        else:
            blocks[-1].append(_segment_expression(segment))
    first, *rest = ["/".join(block) for block in blocks]
    if not rest:
        return first
    last = rest.pop()
    # A block between two `**` may stop at the first place where it fits: what follows can only gain by it.
    source = (f"{first}/" if first else "") + "".join(f"(?>{_ANY_FOLDERS}{block}/)" for block in rest if block)
    return source + (_ANY_FOLDERS + last if last else ".+")


def _segment_expression(tokens: list[str]) -> str:
    """Join the tokens of one path segment; each star but the last takes the least that works and never thinks again."""
    runs = [""]
    for token in tokens:
        if token == _STAR:
            runs.append("")
        else:
            runs[-1] += token
    head, *tail = runs
    if not tail:
        return head
    return head + "".join(f"(?>[^/]*?{run})" for run in tail[:-1] if run) + "[^/]*" + tail[-1]


def _segments(glob: str, anchored: bool) -> list[list[str]] | None:
    """Cut GLOB at its slashes into lists of tokens: an expression for one character, `_STAR`, or alone `_FOLDERS`.

    Returns None where the pattern matches nothing: a bracket that never closes, a backslash at the end.
    """
    segments: list[list[str]] = [[]]
    i = 0
    while i < len(glob):
        char = glob[i]
        i += 1
        if char == "\\":
            if i == len(glob):
                return None
            char = glob[i]
            i += 1
            if char != "/":
                segments[-1].append(re.escape(char))
                continue
        if char == "/":
            segments.append([])
        elif char == "*":
            stars = _STARS.match(glob, i - 1)
            assert stars is not None
            i = stars.end()
            whole = not segments[-1] and (i == len(glob) or glob.startswith(("/", "\\/"), i))
            segments[-1].append(_FOLDERS if anchored and whole and len(stars[0]) > 1 else _STAR)
        elif char == "?":
            segments[-1].append("[^/]")
        elif char == "[":
            bracket = _bracket(glob, i)
            if bracket is None:
                return None
            source, i = bracket
            segments[-1].append(source)
        else:
            segments[-1].append(re.escape(char))
    return segments


def _bracket(glob: str, start: int) -> tuple[str, int] | None:
    """Return the expression for the bracket whose inside begins at START and where it ends; None if it never does."""
    i = start
    negated = glob[i : i + 1] in ("!", "^")
    i += negated
    members = ""
    before = ""  # the character that a range could begin with
    first = True
    while first or glob[i : i + 1] != "]":
        first = False
        char = glob[i : i + 1]
        if not char:
            return None
        if char == "\\":
            i += 1
            char = glob[i : i + 1]
            if not char:
                return None
            members += re.escape(char)
            before = char
        elif char == "-" and before and glob[i + 1 : i + 2] not in ("", "]"):
            i += 1
            if glob[i] == "\\":
                i += 1
            high = glob[i : i + 1]
            if not high:
                return None
            if before <= high:
                members += f"{re.escape(before)}-{re.escape(high)}"
            before = ""
        elif char == "[" and glob[i + 1 : i + 2] == ":":
            end = glob.find("]", i + 2)
            if end < 0:
                return None
            if glob[end - 1] == ":" and end - 1 >= i + 2:
                name = glob[i + 2 : end - 1]
                if name not in _POSIX:
                    return None
                members += _POSIX[name]
                before = ""
                i = end
            else:
                members += r"\["
                before = "["
        else:
            members += re.escape(char)
            before = char
        i += 1
    if negated:
        return f"[^/{members}]", i + 1
    return (f"(?!/)[{members}]" if members else "(?!)"), i + 1
