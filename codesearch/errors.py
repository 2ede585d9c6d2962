"""The one small tree of errors; each message says what to do next.

CodesearchError            caught once, at the edge: message on stderr, exit code 2
├── RootError              ROOT is missing, not a folder, unreadable, or holds nothing to index
├── IndexFormatError       the index is damaged, or written by a newer version
├── IndexBusyError         another process is writing this index
├── StorageError           disk full, read-only, or no permission for the index
├── BundleError            a model folder is missing files or does not match its fingerprint
├── GitError               git is missing or refused
├── UsageError             an argument or a setting makes no sense
└── ExtraMissingError      an optional part is not installed
"""


class CodesearchError(Exception):
    """Base of everything codesearch raises on purpose."""


class RootError(CodesearchError):
    """ROOT is missing, not a folder, unreadable, or holds nothing to index."""


class IndexFormatError(CodesearchError):
    """The index is damaged, or written by a newer version."""


class IndexBusyError(CodesearchError):
    """Another process is writing this index."""


class StorageError(CodesearchError):
    """Disk full, read-only, or no permission for the index."""


class BundleError(CodesearchError):
    """A model folder is missing files or does not match its fingerprint."""


class GitError(CodesearchError):
    """Git is missing or refused."""


class UsageError(CodesearchError):
    """An argument or a setting makes no sense."""


class ExtraMissingError(CodesearchError):
    """An optional part is not installed."""
