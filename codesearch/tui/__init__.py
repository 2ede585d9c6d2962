"""The interface that fills the terminal: `codesearch tui`, and `codesearch` alone on a terminal.

    app ── screen ── listing, preview, popups, status        what is seen; knows no index
     │        │
     ├─ searched ── session ── training                      what answers: one thread, and a process to adapt in
     │         └─── store                                    the same of a store of many repositories: one thread
     └─ source                                               what reads files for the preview: one thread

`words` is all that passes between them. Importing this costs Textual (0.25 s); what searches is loaded by the session's
thread, after the first frame.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codesearch.tui.searched import Searched


def run(searched: Searched, editor: str = "") -> int:
    """Search what is SEARCHED until the user has enough; return the exit code.

    EDITOR opens places, by default the environment's.

    Whatever ended the session is raised, when the terminal is as it was.
    """
    from codesearch.tui.app import CodesearchApp

    app = CodesearchApp(searched, editor=editor)
    try:
        app.run()
    finally:
        app.reader.close()
        ended = app.session.close()
    if not ended:
        # A terminal that is closed takes the processes that cut files with it, and Python would wait for those for
        # ever. What is cut off here is done again by the next run.
        os._exit(app.return_code or 0)
    if app.broken is not None:
        raise app.broken
    return app.return_code or 0
