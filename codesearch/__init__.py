"""codesearch: natural-language search over your own code, on your own machine.

Importing this package is free of numpy, lancedb, onnxruntime and torch; the heavy parts load where they are used.
"""

__version__ = "0.1.0"
