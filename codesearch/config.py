"""Where each setting comes from: what is typed, CODESEARCH_*, the folder's file, the user's, defaults; in this order.

One table, `OPTIONS`, says what can be set. Files are TOML and only data. The folder's file, `.codesearch.toml`, belongs
to whoever wrote the repository: it may say what is indexed and how many answers are shown, and nothing of the user's
own terminal, editor or machine; what is wrong with it is a warning. What is wrong with the user's own is an error.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from codesearch.errors import UsageError
from codesearch.regular import opened
from codesearch.settings import MEGABYTE, Settings, parse_duration, parse_flag, parse_size

PROJECT_FILE: Final = ".codesearch.toml"
_MAX_BYTES: Final = 64 * 1024
"""A file of settings with more is none."""
_MAX_PROJECT_FILESIZE: Final = 16 * MEGABYTE
"""What a repository may ask for; more could exhaust memory, and is for the user to say."""


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be set; `name` as in a file, with dashes as on the command line."""

    name: str
    default: Any
    parse: Callable[[str, str], Any]
    """Turns text into the value, given what an error is to call it."""
    kind: type
    """Of the value in a file; text is parsed there too."""
    help: str
    project: bool = False
    """Whether the folder's own file may set it."""

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"CODESEARCH_{self.name.upper().replace('-', '_')}"


def _count(text: str, name: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) <= 10_000:
        return int(text)
    raise UsageError(f"{name} is {text!r}: give a number from 1 to 10000")


def _share(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 1:
        return value
    raise UsageError(f"{name} is {text!r}: give a number from 0 to 1")


def _color(text: str, name: str) -> str:
    if text in ("auto", "always", "never"):
        return text
    raise UsageError(f"{name} is {text!r}: give auto, always or never")


def _budget(text: str, name: str) -> str:
    parse_duration(text, name)
    return text


def _text(text: str, _name: str) -> str:
    return text


def _folder(text: str, name: str) -> str:
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{name} is {text!r}, which is no folder: name one that holds a bundle.json")
    return str(folder.absolute())


OPTIONS: Final[Mapping[str, Option]] = {
    option.name: option
    for option in (
        Option("max-filesize", MEGABYTE, parse_size, int, "Skip larger files.", project=True),
        Option("hidden", False, parse_flag, bool, "Also index hidden files and folders.", project=True),
        Option("no-ignore", False, parse_flag, bool, "Do not respect ignore files.", project=True),
        Option("no-tests", False, parse_flag, bool, "Leave tests out of answers.", project=True),
        Option("limit", 10, _count, int, "Results at most.", project=True),
        Option("min-score", 0.2, _share, float, "How sure an answer must be.", project=True),
        Option("color", "auto", _color, str, "When to use colours: auto, always, never."),
        Option("hyperlink-format", "default", _text, str, "What file names on a terminal link to."),
        Option("editor", "", _text, str, "What opens a result. [default: $VISUAL, $EDITOR]"),
        Option("model", "", _folder, str, "Bundle to search with. [default: the one that ships]"),
        Option("budget", "", _budget, str, "Train so long at most."),
        Option("first-wait", 3.0, parse_duration, float, "Seconds that a first question waits for its index."),
        Option("no-train", False, parse_flag, bool, "`index` does not adapt the retriever."),
    )
}


@dataclass(frozen=True, slots=True)
class Config:
    """What holds for one run, and where each value comes from."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    """For each option: `default`, a file, an environment variable or a flag."""
    warnings: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def settings(self, index_dir: Path | None = None) -> Settings:
        """Return what indexing needs of it."""
        return Settings(
            max_filesize=self["max-filesize"],
            hidden=self["hidden"],
            no_ignore=self["no-ignore"],
            index_dir=index_dir,
            model=Path(self["model"]) if self["model"] else None,
        )


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the user's own settings are: `$CODESEARCH_CONFIG`, or the platform's folder for such files."""
    environ = os.environ if environ is None else environ
    if named := environ.get("CODESEARCH_CONFIG"):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir("codesearch", appauthor=False)) / "config.toml"


def resolve(
    root: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, own: bool = True
) -> Config:
    """Return what holds in ROOT (None: no folder) where FLAGS were typed: values by option, None or absent where not.

    Unless the user's OWN file counts, it is the same on any machine with that ENVIRON.

    Raises:
        UsageError: the environment or the user's own file holds what makes no sense.
    """
    environ = os.environ if environ is None else environ
    values = {name: option.default for name, option in OPTIONS.items()}
    origins = dict.fromkeys(OPTIONS, "default")
    warnings: list[str] = []

    def put(found: Iterator[tuple[str, Any, str]]) -> None:
        for name, value, origin in found:
            values[name], origins[name] = value, origin

    if own:
        file = user_file(environ)
        put(_of_file(file, str(file), _raised))
    project = root / PROJECT_FILE if root else None
    if project and not project.is_symlink():  # it could lead anywhere, and what is there be shown in a warning
        put(_of_project(project, warnings))
    put(
        (name, option.parse(environ[option.variable], option.variable), option.variable)
        for name, option in OPTIONS.items()
        if environ.get(option.variable, "").strip()
    )
    put((name, value, f"--{name}") for name, value in flags.items() if value is not None)
    return Config(values, origins, tuple(warnings))


def _raised(message: str) -> None:
    raise UsageError(message)


def _of_project(file: Path, warnings: list[str]) -> Iterator[tuple[str, Any, str]]:
    for name, value, origin in _of_file(file, PROJECT_FILE, warnings.append):
        if not OPTIONS[name].project:
            warnings.append(f"{PROJECT_FILE}: {name} is for the user to set, not for a repository; it is ignored.")
        elif name == "max-filesize" and value > _MAX_PROJECT_FILESIZE:
            warnings.append(f"{PROJECT_FILE}: max-filesize is more than 16M, which only --max-filesize may ask for.")
        else:
            yield name, value, origin


def _of_file(file: Path, called: str, wrong: Callable[[str], None]) -> Iterator[tuple[str, Any, str]]:
    """Yield option, value and origin of what FILE sets; WRONG hears what makes no sense."""
    try:
        with opened(file) as held:
            text = held.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise OSError("it is larger than 64 kB")
        said = tomllib.loads(text.decode("utf-8"))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        above = next(folder for folder in file.parents if folder.exists())
        wrong(f"{called} can not be there: {above} is a file and no folder. Rename it, or set CODESEARCH_CONFIG.")
        return
    except OSError as error:
        wrong(f"{called} can not be read: {error.strerror or error}. Settings are in a file of TOML that you may read.")
        return
    except (ValueError, RecursionError) as error:
        wrong(f"{called} can not be read: {error}. It is to be TOML, with lines such as: limit = 5")
        return
    for name, value in said.items():
        option = OPTIONS.get(name)
        if option is None:
            near = difflib.get_close_matches(name, OPTIONS, 1)
            hint = f" Did you mean {near[0]}?" if near else " `codesearch config` lists all."
            wrong(f"{called}: {name[:40]!r} is no setting.{hint}")
            continue
        try:
            yield name, _valued(option, value, f"{called}: {name}"), called
        except UsageError as error:
            wrong(str(error))


def _valued(option: Option, value: Any, called: str) -> Any:
    # A bool is an int to Python, and no number to a person.
    if option.kind is bool and isinstance(value, bool):
        return value
    if isinstance(value, str):
        return option.parse(value, called)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and option.kind in (int, float):
        return option.parse(str(value), called)
    raise UsageError(f"{called} is {value!r}, which is no {option.kind.__name__}")
