"""`python -m codesearch.cli`: the command without its script."""

from codesearch.cli import main

if __name__ == "__main__":  # worker processes import this under another name
    main()
