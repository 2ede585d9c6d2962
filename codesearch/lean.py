"""Importing lancedb without its client for servers: hundreds of pydantic classes, two thirds of the second it takes.

lancedb names them in annotations, and uses them where a namespace server is asked for tables; ours lie in a folder. So
while it is imported, the modules of that client are stand-ins, whose every name is an empty class. They are forgotten
afterwards: whoever imports the client by itself gets it whole.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_CLIENT: Final = "lance_namespace_urllib3_client"


@contextmanager
def without_client() -> Iterator[None]:
    """Let lancedb be imported within without its client; where either is imported already, it stays as it is."""
    if "lancedb" in sys.modules or _CLIENT in sys.modules:
        yield
        return
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
        made = type(name, (), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for every module of the client."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the stand-in's specification, or None for a module of anything else."""
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] == _CLIENT else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it has no code."""
