"""The warm server: one process a workspace that holds the index open, so that asking costs no start.

`protocol` is what both sides agree on, `client` the asking side (standard library only: it runs before anything else is
imported), `daemon` the life of the process, `request` one request, `warm` the workspace it is answered from.
"""
