"""An index of many repositories, in one store on a file system or on object storage. Needs the extra `fleet` to write.

    address    what a store is called
    sources    what to index: URLs and folders, with their names, revisions and visibility
    schema     the store: three Lance tables, and what a row of each is
    build      one repository becomes fragments: checked out, cut, encoded, written        pylance; on any worker
    commit     fragments become true: one Lance commit a batch                             pylance; in one driver
    drive      Ray hands repositories to workers, the driver commits what comes back       ray
    store      the store, open for reading                                                 lancedb
    access     who may see what, as a filter within the store's query
    search     a question, asked of the store: candidates from its indexes, ranked as in a folder

Chunks, terms, vectors and ranking are those of an index of a folder. What is between machines is Ray's and Lance's.
Asking needs neither ray nor pylance.
"""

import os

os.environ.setdefault("LANCE_LOG", "error")  # it warns on stderr of every table that it creates
