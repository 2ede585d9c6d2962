"""The command line: `codesearch COMMAND`; `codesearch --help` lists them.

Results go to standard output and everything else to standard error. Exit codes are grep's: 0 found, 1 nothing found,
2 an error; 130 after Ctrl-C, 143 after SIGTERM. Each module is one way of showing things; `app` is the commands, and
the edge where errors become messages. Importing this costs next to nothing, so that a warm server is asked before typer
and rich (0.1 s) are loaded; what searches is imported inside the commands.
"""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Let a warm server answer, or run the command here; then see to it that the next one finds a server."""
    from codesearch.server.client import run

    client, code = run(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    # OpenBLAS's threads wait for each other: beside any other work, the similarities of 2,000 chunks take 6 ms with two
    # threads and 0.2 ms with one. It reads this when numpy is first imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from codesearch.cli.app import main as command

    try:
        command()
    except SystemExit as end:
        # After the answer, so that it does not wait; and only after one, for then there is an index to hold.
        if client.start and end.code in (None, 0, 1):
            client.start_server()
        raise
