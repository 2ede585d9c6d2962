"""Which index answers where one stands: that of the nearest folder above that has one, as git finds its repository.

It is sought within one working tree: a repository that lies in an indexed folder, and each submodule, has an index of
its own. Only an index that is the user's own counts, for anybody may leave one in a folder above. Standard library and
strings only: this is done before a warm server is asked, which must take no time.
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

    HOME is `CODESEARCH_HOME`, or empty.
    """
    root = folder
    while True:
        index = os.path.join(os.path.expanduser(home), name_of(root)) if home else os.path.join(root, FOLDER)
        if _ours(index) and os.path.isfile(os.path.join(index, CURRENT)):
            return root
        above = os.path.dirname(root)
        if os.path.lexists(os.path.join(root, ".git")) or above == root:
            return folder
        root = above


def _ours(index: str) -> bool:
    try:
        status = os.lstat(index)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and (os.name == "nt" or status.st_uid == os.geteuid())
