"""`python -m codesearch.server --root FOLDER`: the server as clients start it, in the background."""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # see codesearch.cli

from codesearch.server.daemon import main

if __name__ == "__main__":  # worker processes import this under another name
    sys.exit(main())
