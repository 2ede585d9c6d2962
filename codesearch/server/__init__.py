"""The warm server: one process a workspace, or a store for one access, that holds it open, so asking costs no start.

`protocol` is what both sides agree on, `client` the asking side (standard library only: it runs before anything else is
imported), `daemon` the life of the process, `served` what it is for, `request` one request; `warm` is the workspace it
is answered from, `store` the store.
"""
