"""Which index answers where one stands: that of the nearest folder above that has one, as git finds its repository.

It is sought within one working tree: a repository that lies in an indexed folder, and each submodule, has an index of
its own. Only an index that is the user's own counts, by its seal, for one may come with an archive. Standard library
and strings only, but where there is one above: this is done before a warm server is asked, which must take no time.
"""

# ruff: noqa: PTH111, PTH113, PTH118, PTH119, PTH120

from __future__ import annotations

import hashlib
import os
import stat

FOLDER = ".codesearch"
"""Name of the index folder inside ROOT."""
CURRENT = "CURRENT"
"""The file that names the generation in use."""


def name_of(root: str) -> str:
    """Return how the index of ROOT, a real path, is called where it is not in ROOT."""
    digest = hashlib.blake2b(os.fsencode(root), digest_size=8).hexdigest()
    return f"{os.path.basename(root) or 'root'}-{digest}"


def indexed(folder: str, home: str = "") -> str:
    """Return the nearest folder that has an index, from FOLDER, a real path, up; or FOLDER where none has.

    One that is kept in the user's data folder counts where a stranger's is in its place. HOME is `CODESEARCH_HOME`, or
    empty.
    """
    root = folder
    while True:
        index = os.path.join(os.path.expanduser(home), name_of(root)) if home else os.path.join(root, FOLDER)
        if _is_index(index) and (root == folder or _believed(root, index)):
            return root
        above = os.path.dirname(root)
        if os.path.lexists(os.path.join(root, ".git")) or above == root:
            return folder
        root = above


def _is_index(index: str) -> bool:
    try:
        status = os.lstat(index)
    except OSError:
        return False
    own = os.name == "nt" or status.st_uid == os.geteuid()
    return own and stat.S_ISDIR(status.st_mode) and os.path.isfile(os.path.join(index, CURRENT))


def _believed(root: str, index: str) -> bool:
    """Tell whether the user has made INDEX, or another one of ROOT, which is in the data folder because of it."""
    from pathlib import Path

    from codesearch.paths import user_index_folder
    from codesearch.seal import sealed

    return sealed(Path(index)) or _is_index(str(user_index_folder(Path(root))))
