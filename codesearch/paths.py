"""Where everything lives on disk, and nothing else: names and places, no reading, no writing.

<ROOT>/.codesearch/           mode 0700, with its own .gitignore
  CURRENT                     the name of the generation that answers
  gen-<n>/store/              LanceDB
  gen-<n>/model/              the Bundle in use
  gen-<n>/manifest.sqlite     files, hashes, versions, corpus statistics
  gen-<n>/held                locked by its readers, so that it is not removed under them
  adaptation.json             what came of the last training, and
  model-<fingerprint>/        the Bundle it gave, if it was accepted
  work-<random>/              what a training is working with; what a killed one left, the next removes
  seal                        says that this user made the folder; without it nothing here is read or written
  lock  log
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from codesearch import nearest

INDEX_FOLDER = nearest.FOLDER
"""Name of the index folder inside ROOT; never indexed itself."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The names inside one index folder, shared by whoever writes and whoever reads."""

    folder: Path

    @property
    def current(self) -> Path:
        """The file that names the generation in use; replaced by one atomic rename."""
        return self.folder / nearest.CURRENT

    @property
    def lock(self) -> Path:
        """Held by whoever writes."""
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        """What went wrong, for `doctor` and bug reports."""
        return self.folder / "log"

    @property
    def adaptation(self) -> Path:
        """What came of the last training."""
        return self.folder / "adaptation.json"

    @property
    def training(self) -> Path:
        """Held by whoever trains."""
        return self.folder / "training"

    def generation(self, name: str) -> Generation:
        """Return the generation called NAME (`gen-<n>`)."""
        return Generation(self.folder / name)


@dataclass(frozen=True, slots=True)
class Generation:
    """The names inside one generation: store, model and manifest that belong together."""

    folder: Path

    @property
    def store(self) -> Path:
        """The LanceDB database."""
        return self.folder / "store"

    @property
    def model(self) -> Path:
        """The Bundle whose vectors are in the store."""
        return self.folder / "model"

    @property
    def manifest(self) -> Path:
        """The SQLite manifest."""
        return self.folder / "manifest.sqlite"

    @property
    def held(self) -> Path:
        """Readers hold a shared lock on it."""
        return self.folder / "held"


def base_bundle() -> Path:
    """Return the folder of the retriever that ships in the package."""
    return Path(__file__).parent / "models" / "base"


def index_folder(root: Path, index_dir: Path | None = None) -> Path:
    """Return where ROOT's index belongs.

    In order: INDEX_DIR as given; `$CODESEARCH_HOME/<name>-<digest of the root's path>`; `<ROOT>/.codesearch`, where
    that exists or ROOT is writable; the per-user data folder for a read-only ROOT.
    """
    if index_dir is not None:
        return index_dir
    root = root.resolve()
    if home := os.environ.get("CODESEARCH_HOME"):
        return Path(home).expanduser() / nearest.name_of(str(root))
    inside = root / INDEX_FOLDER
    if inside.is_dir() or os.access(root, os.W_OK):
        return inside
    return user_index_folder(root)


def user_index_folder(root: Path) -> Path:
    """Return where ROOT's index belongs when it can not be in ROOT: a folder of its own in the per-user data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("codesearch", appauthor=False)) / nearest.name_of(str(root.resolve()))
