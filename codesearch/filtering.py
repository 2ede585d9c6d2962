"""Which files may answer, from what people and programs say: paths, globs, types, languages, kinds, tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codesearch.search import Filter


def only(
    paths: Sequence[str],
    globs: Sequence[str],
    types: Sequence[str],
    not_types: Sequence[str],
    languages: Sequence[str],
    kinds: Sequence[str] = (),
    *,
    tests: bool = True,
) -> Filter | None:
    """Return which files may answer, or None for all; raise UsageError for a type that there is not."""
    from codesearch.filetypes import globs_of

    globs = [*globs, *globs_of(types), *globs_of(not_types, wanted=False)]
    if not (paths or globs or languages or kinds) and tests:
        return None
    from codesearch.languages import language_of
    from codesearch.search import Filter

    named = (name.lower() for name in languages)
    known = frozenset(language_of(f"file.{name}", b"") or name for name in named)
    return Filter(tuple(globs), known, tuple(paths), frozenset(kinds), tests=tests)
