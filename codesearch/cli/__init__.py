"""The command line: `codesearch index | ask | status | inspect`.

Results go to standard output and everything else to standard error. Exit codes are grep's: 0 found, 1 nothing found,
2 an error; 130 after Ctrl-C, 143 after SIGTERM. Each module is one way of showing things; `app` is the commands, and
the edge where errors become messages. Importing this costs typer and rich (0.1 s); what searches is imported inside the
commands.
"""

import os

# OpenBLAS's threads wait for each other: beside any other work, the similarities of 2,000 chunks take 6 ms with two
# threads and 0.2 ms with one. It reads this when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from codesearch.cli.app import main

__all__ = ["main"]
