"""Random edits of a real git repository: after any of them an index that follows is the one that is built afresh."""
