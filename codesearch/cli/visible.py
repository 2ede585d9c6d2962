r"""Text from a repository made safe to print: no character of it can steer a terminal or fake a line of output.

File names and source are other people's: an escape sequence in them could rename the window, hide lines or worse, and
bidirectional controls can show code in another order than it runs in. Such characters are printed as `\x1b` instead.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

_STEERING: Final = chain(
    range(0x20),  # C0: escape, backspace, carriage return, newline …
    range(0x7F, 0xA0),  # delete and C1: 0x9b is an escape sequence by itself
    (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # bidirectional controls
    (0x2028, 0x2029),  # separators that some programs take for a newline
    range(0xD800, 0xE000),  # lone surrogates: bytes of a file name that are not UTF-8, or of no text at all
)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries the byte code - 0xDC00
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_ESCAPES: Final = {code: _escaped(code) for code in _STEERING}
_ESCAPES_IN_A_LINE: Final = {code: shown for code, shown in _ESCAPES.items() if code != 0x09}


def visible(name: str) -> str:
    """Return NAME (a path, a symbol) on one line, with nothing in it that steers a terminal."""
    return name.translate(_ESCAPES)


def visible_line(line: str) -> str:
    """Return one LINE of source with nothing in it that steers a terminal; tabs stay tabs."""
    return line.translate(_ESCAPES_IN_A_LINE)
