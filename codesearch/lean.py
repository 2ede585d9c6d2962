"""Importing lancedb without what it does not need here: it takes a second of CPU, and 0.3 without.

Its client for namespace servers is hundreds of pydantic classes. lancedb names them in annotations, and uses them where
a server is asked for tables; ours lie in a folder. `overrides`, below Python 3.12, compares each method with the one
that it overrides, which is for lancedb's own tests. So while lancedb is imported, these are stand-ins, in which every
name is an empty class, or a decorator that does nothing. They are forgotten afterwards: whoever imports them by
themselves gets them whole.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_LEFT_OUT: Final = frozenset({"lance_namespace_urllib3_client", "overrides"})


@contextmanager
def lean() -> Iterator[None]:
    """Let lancedb be imported within without what is left out; what is imported already stays as it is."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
            del sys.modules[name]


class _StandIn(ModuleType):
    """A module that has whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made: Any = type(name, (), {"__module__": self.__name__}) if name[0].isupper() else _unchanged
        setattr(self, name, made)
        return made


def _unchanged(decorated: Any) -> Any:
    return decorated


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for every module that is left out."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the stand-in's specification, or None for a module of anything else."""
        top = fullname.partition(".")[0]
        if top not in _LEFT_OUT or not isinstance(sys.modules.get(top), _StandIn | None):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it has no code."""
