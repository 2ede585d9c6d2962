r"""Reads one file: its pieces, the definitions in it, and what their own lines say of them.

A text is divided into *pieces*, which are its lines (a monstrous line is several pieces); the parser and the language's
query say where definitions start and end, and a definition becomes a run of pieces. What is cut into chunks, and what
is taken away as documentation before a question is made of it, are read here both, so that they can not drift apart.

A line ends with `\n`, as git, grep and ctags count (`\r\n` therefore too); a lone `\r` ends none.

The parser runs within bounds (`parsing`), where it is much work in a process of its own (`apart`). The query has no
bounds but that process's: the callback that py-tree-sitter 0.26 offers for it crashes (it keeps a pointer into a stack
frame that is gone), and a query's time is a fraction of the parse that it follows, but for trees that `_is_hopeless`
knows.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, fields
from inspect import cleandoc
from itertools import islice, pairwise, takewhile
from math import ceil
from operator import sub
from typing import TYPE_CHECKING, Any, Final

from codesearch import apart
from codesearch.languages import LANGUAGES, Language, grammar
from codesearch.parsing import TIME_LIMIT, TooMuchHereError, confine, deep, parse
from codesearch.types import Kind

if TYPE_CHECKING:
    import tree_sitter

PART_CHARS: Final = 2000
PART_LINES: Final = 60
"""A part aims at this size: about what a screen holds, and what an average of word vectors can still stand for."""
SLACK: Final = 1.2
"""What is longer than a part by no more than this stays whole."""
COMMENT_LINES: Final = 12
"""Comments up to this many lines that stand apart join what follows them (a heading over some functions)."""
_FILE_DOC_LINES: Final = 100
_DEPTH: Final = 40
"""Definitions nested deeper than this stay in the one around them; generated and hostile code goes further."""
_SIGNATURE: Final = 300
_DOC: Final = 4000
"""Characters kept of a signature and of a doc comment; the text itself is never shortened."""
_SYNTAX_DEPTH: Final = 400
"""Levels of the syntax tree in which definitions are looked for; a query's time grows with the square of the depth."""
_LOOKS: Final = 500_000_000
"""Steps of a query over unparsed text that are worth it; about half a second."""
_VISITS: Final = 200_000
"""Nodes looked at to find unparsed text; about a tenth of a second, and more than a file of 1 MB has beside errors."""
_LADDER: Final = 2000
"""Of those, so many cost a tenth of a second."""

_NEWLINE: Final = re.compile("\n")
_NEWLINE_BYTES: Final = re.compile(b"\n")
_ASCII: Final = bytes(range(128)) + b"x" * 128
"""What the parser sees of letters beyond ASCII: a scanner (Bash) that looks them up in a table of 256 crashes."""
_MARK: Final = "\ufeff".encode()
_RETURN: Final = re.compile(rb"(?<!\\)\r\n")
"""Line ends whose first half some grammars take for part of a word."""
CLOSER: Final = re.compile(r"(?:[\W_]|\bend\b)*")
"""Lines without a word but `end`: blank lines and what closes blocks."""


class Source:
    """A text as pieces: lines, and stretches of lines too long for a part."""

    __slots__ = ("data", "first_lines", "starts", "starts_bytes", "text")

    def __init__(self, text: str) -> None:
        """Divide TEXT, decoded; surrogate escapes are kept."""
        self.text = text
        self.data = text.encode("utf-8", "surrogatepass")
        starts = [0, *(match.end() for match in _NEWLINE.finditer(text))]
        if starts[-1] == len(text):
            starts.pop()
        self.first_lines: list[int] | None = None
        """Line of each piece where pieces are not lines."""
        limit = int(PART_CHARS * SLACK)
        if max(map(sub, (*starts[1:], len(text)), starts), default=0) > limit:
            starts = self._cut_monsters(starts, limit)
        self.starts = starts
        """Offset in the text of each piece."""
        self.starts_bytes = starts if len(self.data) == len(text) else self._byte_starts()
        """Offset in the UTF-8 bytes, which the parser speaks of, of each piece."""

    def _cut_monsters(self, starts: list[int], limit: int) -> list[int]:
        pieces: list[int] = []
        lines: list[int] = []
        for line, (start, end) in enumerate(pairwise((*starts, len(self.text))), 1):
            count = ceil((end - start) / PART_CHARS) if end - start > limit else 1
            pieces.extend(start + (end - start) * k // count for k in range(count))
            lines.extend([line] * count)
        self.first_lines = lines
        return pieces

    def _byte_starts(self) -> list[int]:
        if self.first_lines is None:
            starts = [0, *(match.end() for match in _NEWLINE_BYTES.finditer(self.data))]
            return starts[: len(self.starts)]
        offset = 0
        offsets = []
        for start, end in pairwise((*self.starts, len(self.text))):
            offsets.append(offset)
            offset += len(self.text[start:end].encode("utf-8", "surrogatepass"))
        return offsets

    def piece_at(self, offset: int) -> int:
        """Return the piece that holds the byte at OFFSET."""
        return bisect_right(self.starts_bytes, offset) - 1

    def between(self, low: int, high: int) -> str:
        """Return the text of the pieces from LOW up to, not with, HIGH."""
        return self.text[self.starts[low] : self.starts[high] if high < len(self.starts) else len(self.text)]

    def size(self, low: int, high: int) -> float:
        """Return the length of a run of pieces, in parts."""
        end = self.starts[high] if high < len(self.starts) else len(self.text)
        return max((end - self.starts[low]) / PART_CHARS, (high - low) / PART_LINES)

    def line(self, piece: int) -> int:
        """Return the 1-based line of a piece."""
        return piece + 1 if self.first_lines is None else self.first_lines[piece]

    def slice(self, start: int, end: int) -> str:
        """Return the text between two byte offsets."""
        return self.data[start:end].decode("utf-8", "replace")


@dataclass(slots=True, eq=False)
class Definition:
    """A definition found, as a run of pieces, with those inside it; the file itself is one."""

    what: str
    """The capture that found it; empty for the file itself."""
    name: str
    """Qualified name."""
    low: int
    """First piece, that of its leading comments included."""
    high: int
    """Behind its last piece."""
    head: int = 0
    """Piece at which the definition itself starts."""
    start: int = 0
    end: int = 0
    """Bytes of the definition without what leads it."""
    body: int = -1
    """Byte at which the signature ends; -1 where that is not known."""
    leads: tuple[tuple[int, int], ...] = ()
    """Bytes of the comments, decorators and attributes above it."""
    remarks: tuple[tuple[int, int], ...] = ()
    """Bytes of the comments and attributes in its signature."""
    parent: Definition | None = None
    depth: int = 0
    given_up: bool = False
    """Of the file: it was not looked into, because that would have taken too much."""
    children: list[Definition] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Kind of the chunks that this definition's own lines become."""
        if self.what == "method":
            return Kind.METHOD
        if self.what in ("function", "accessor"):
            inside = self.parent is not None and self.parent.what in _HOLDS_METHODS
            return Kind.METHOD if inside else Kind.FUNCTION
        if self.what == "section":
            return Kind.SECTION
        return Kind.MODULE if self.what in ("", "namespace") else Kind.CLASS


_HOLDS_METHODS: Final = frozenset({"class", "extension", "type"})
_DEFINITIONS: Final = ("function", "method", "class", "extension", "type", "accessor", "module", "namespace")


@dataclass(slots=True)
class _Found:
    """What one match of the query says."""

    start: int
    end: int
    pattern: int
    """Index of the pattern: where two match one node, the first in the file of queries knows better."""
    what: str
    captures: dict[str, list[tree_sitter.Node]]


def definitions(source: Source, language: Language | None, time_limit: float = TIME_LIMIT) -> Definition:
    """Return the file of SOURCE as a definition, with all those found in it below.

    There are none where LANGUAGE is None, or where the file does not parse within TIME_LIMIT seconds of work and the
    memory that `parsing` grants; with 0 seconds it is not parsed.
    """
    root = Definition("", "", 0, len(source.starts))
    if language is None:
        return root
    root.given_up = time_limit <= 0
    if not root.given_up:
        try:
            deep(lambda: _define(source, root, language, time_limit), len(source.data))
        except TooMuchHereError:
            try:
                return _heard(apart.ask(["definitions", language.name, time_limit], source.data))
            except apart.EndedError:
                root.given_up = True
    return root


def comments(source: Source, language: Language) -> list[tuple[int, int]]:
    """Return the bytes of every comment in SOURCE, outermost, in order; none where it does not parse within bounds."""
    try:
        return deep(lambda: _comments(source, language), len(source.data))
    except TooMuchHereError:
        try:
            return [(start, end) for start, end in apart.ask(["comments", language.name], source.data)]
        except apart.EndedError:
            return []


def serve() -> None:
    """Answer what this file asks `apart` for: the whole life of the process that is begun there."""
    confine()
    apart.serve(_answer)


def _answer(request: list[Any], data: bytes) -> Any:
    what, name, *limits = request
    source = Source(data.decode("utf-8", "surrogatepass"))
    if what == "comments":
        return comments(source, LANGUAGES[name])
    return _said(definitions(source, LANGUAGES[name], *limits))


_OWN: Final = [field.name for field in fields(Definition) if field.name not in ("parent", "children")]


def _said(definition: Definition) -> list[Any]:
    """Return DEFINITION and those below it as JSON can say it."""
    return [[getattr(definition, name) for name in _OWN], [_said(child) for child in definition.children]]


def _heard(said: list[Any], parent: Definition | None = None) -> Definition:
    """Return the definition that `_said` has SAID."""
    own, children = said
    definition = Definition(**dict(zip(_OWN, own, strict=True)), parent=parent)
    definition.leads, definition.remarks = (
        tuple((start, end) for start, end in places) for places in (definition.leads, definition.remarks)
    )
    definition.children = [_heard(child, definition) for child in children]
    return definition


def _comments(source: Source, language: Language) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    tree = _parsed(source, language, TIME_LIMIT)
    if tree is None:
        return found
    cursor = tree.walk()
    while True:
        node = cursor.node
        assert node is not None, "a tree has a root"
        if "comment" in node.type:
            found.append(node.byte_range)
        elif cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found


def _parsed(source: Source, language: Language, time_limit: float) -> tree_sitter.Tree | None:
    """Return the tree of SOURCE, or None where that would take too much."""
    if _is_ladder(source.data):
        return None
    return parse(grammar(language.name).parser, as_parsed(source.data, language), time_limit)


def _define(source: Source, root: Definition, language: Language, time_limit: float) -> None:
    """Hang the definitions of SOURCE below ROOT; none when it does not parse within bounds."""
    import tree_sitter

    tree = _parsed(source, language, time_limit)
    if tree is None or (tree.root_node.has_error and _is_hopeless(tree.root_node)):
        root.given_up = True
        return
    compiled = grammar(language.name)
    leads: list[tuple[int, int]] = []
    wraps: dict[int, int] = {}
    found: list[_Found] = []
    cursor = tree_sitter.QueryCursor(compiled.query)
    cursor.set_max_start_depth(_SYNTAX_DEPTH)
    for pattern, captures in cursor.matches(tree.root_node):
        if "lead" in captures:
            start, end = captures["lead"][0].byte_range
            if end > start and source.data[end - 1] in b"\r\n":  # as some grammars have it
                end = start + len(source.data[start:end].rstrip())
            leads.append((start, end))
            continue
        if "wrap" in captures:
            start, end = captures["wrap"][0].byte_range
            wraps[end] = min(start, wraps.get(end, start))
            continue
        if "file" in captures:
            root.start, root.end = captures["file"][0].byte_range
            continue
        for what in _DEFINITIONS:
            if what in captures:
                if "keyword" in captures and not _is_keyword(source, language, what, captures["keyword"][0]):
                    break
                found.append(_Found(*captures[what][0].byte_range, pattern, what, captures))
                break
    leads.sort()
    if wraps:
        found.sort(key=lambda item: item.start)
        before = last = -1
        for item in found:
            own = item.start
            if own > last:
                before, last = last, own
            # What wraps a definition ends with it, or with the semicolon behind it, and holds none before it.
            wrap = min(wraps.get(item.end, own), wraps.get(item.end + 1, own))
            item.start = wrap if wrap > before else own
    # Longest first where several start together, so that what encloses comes before what is inside.
    found.sort(key=lambda item: (item.start, -item.end, item.pattern))
    _nest(source, root, language, leads, found)


def as_parsed(data: bytes, language: Language) -> bytes:
    """Return what the parser gets to see of DATA: as many bytes, without what would mislead or crash it."""
    if data.startswith(_MARK):
        data = b" " * len(_MARK) + data[len(_MARK) :]
    if not data.isascii():
        data = data.translate(_ASCII)
    if b"\r" in data:
        data = _RETURN.sub(b" \n", data)
    for hidden in language.hidden:
        data = hidden.sub(lambda match: match[0][: -len(match[1])] + language.mask * len(match[1]), data)
    return data


def _is_ladder(data: bytes) -> bool:
    """Return whether DATA is made of what some grammars (Java, C#, Scala) take square time over, without a callback.

    `a<a<a<...` of 100 KB would take minutes. A tenth of no program is open `<`.
    """
    tenth = len(data) // 10
    if tenth < _LADDER:
        return False
    return data.count(b"<") - data.count(b">") > tenth or data.count(b"`") > tenth


def _is_hopeless(root: tree_sitter.Node) -> bool:
    """Return whether a tree holds so much unparsed text that a query would take seconds.

    For each token in an ERROR node, which holds them side by side, a query looks at all that follow: its time grows
    with their square, and it can not be stopped.
    """
    looks = 0
    visits = 0
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if node.is_error:
            looks += node.child_count**2
        visits += node.child_count
        if looks > _LOOKS or visits > _VISITS:
            return True
        nodes.extend(child for child in node.children if child.has_error)
    return False


def _is_keyword(source: Source, language: Language, what: str, node: tree_sitter.Node) -> bool:
    return source.slice(node.start_byte, node.end_byte) in language.keywords[what]


def _nest(
    source: Source, root: Definition, language: Language, leads: list[tuple[int, int]], found: list[_Found]
) -> None:
    """Build the tree of definitions: each a run of whole pieces within its parent's, after its elder siblings'."""
    lead_starts = [start for start, _ in leads]
    lead_ends = {end: start for start, end in leads}
    _document_file(source, root, leads, lead_starts)
    around = root
    previous = (-1, -1)
    for item in found:
        start, end, captures = item.start, item.end, item.captures
        if source.data[end - 1 : end].isspace() or end in lead_ends:
            end = _trimmed(source, start, end, lead_ends)
        if (start, end) == previous:  # two patterns for one definition
            continue
        previous = (start, end)
        while around.parent is not None and around.end <= start:
            around = around.parent
        one_line = around is not root and around.high - around.head == 1
        if "body" in captures:
            body = captures["body"][0].start_byte
        else:
            body = captures["header"][0].end_byte if "header" in captures else -1
        # `f = function f() {}`, `typedef struct s {} s`: the name it is known by is the outer one.
        twice = body >= 0 and body == around.body
        names = [around.name] if around.name else []
        for part in ("owner", "name"):
            if part in captures:
                node = captures[part][0]
                written = source.slice(node.start_byte, min(node.end_byte, node.start_byte + _SIGNATURE))
                names.append(_name(written, language))
        name = ".".join(filter(None, names))
        if twice and around.parent is not None and around.name == around.parent.name:
            around.name = name  # `module.exports = function f() {}`: the outer says nothing
        if one_line or twice or around.depth >= _DEPTH:
            continue
        elder = around.children[-1] if around.children else None
        floor = elder.high if elder else around.head
        head = max(source.piece_at(start), floor)
        high = min(source.piece_at(max(start, end - 1)) + 1, around.high)
        if head >= high:  # shares its lines with the definition before it, which names them
            continue
        low, own_leads = _leading(source, leads, lead_starts, start, floor)
        if elder and language.clauses and elder.name == name and elder.what == item.what == "function":
            documented = any(_ATTRIBUTE_DOC.match(source.slice(*lead)) for lead in own_leads)
            if low - elder.high <= COMMENT_LINES and not documented:
                elder.high = high
                elder.end = end
                around = elder
                continue
        around = Definition(
            what="method" if "owner" in captures and item.what == "function" else item.what,
            name=name,
            low=max(floor, min(low, head)),
            high=high,
            head=head,
            start=start,
            end=end,
            body=body,
            leads=own_leads,
            remarks=tuple(leads[bisect_left(lead_starts, start) : bisect_left(lead_starts, body)]),
            parent=around,
            depth=around.depth + 1,
        )
        assert around.parent is not None
        around.parent.children.append(around)


def _trimmed(source: Source, start: int, end: int, lead_ends: dict[int, int]) -> int:
    """Return END without the blanks and comments before it: some grammars end a definition where the next token is."""
    while end > start:
        bare = (
            end
            - len(source.data[max(start, end - 1024) : end])
            + len(source.data[max(start, end - 1024) : end].rstrip())
        )
        if lead_ends.get(bare, start) > start:
            bare = lead_ends[bare]
        if bare == end:
            break
        end = bare
    return end


def _document_file(source: Source, root: Definition, leads: list[tuple[int, int]], lead_starts: list[int]) -> None:
    """Say where the documentation of the whole file is: a docstring, or comments above its header or of `//!`."""
    if source.data[root.start : root.end].startswith((b'"', b"'", b"r")):
        root.body = root.start
    elif root.end:
        _, root.leads = _leading(source, leads, lead_starts, root.start, 0)
    else:
        inner = takewhile(lambda lead: source.data.startswith(b"//!", lead[0]), leads)
        root.leads = tuple(islice(inner, _FILE_DOC_LINES))


def _leading(
    source: Source, leads: list[tuple[int, int]], lead_starts: list[int], start: int, floor: int
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return the first piece, not before FLOOR, of what stands directly above the byte START, and its bytes."""
    low = source.piece_at(start)
    last = first = bisect_left(lead_starts, start)
    while first > 0:
        lead_start, lead_end = leads[first - 1]
        top = source.piece_at(lead_start)
        bottom = source.piece_at(max(lead_start, lead_end - 1))
        # A blank line between a documentation block and what it documents is some people's style.
        reach = 2 if source.data.startswith(b"/**", lead_start) else 1
        if top < floor or bottom < low - reach or source.data[source.starts_bytes[top] : lead_start].strip():
            break
        low = min(low, top)
        first -= 1
    return low, tuple(leads[first:last])


_GENERICS: Final = re.compile(r"(?<=\w)\s*<.*?>+(?=::|$)")
_SEPARATOR: Final = re.compile(r"\s*(?:::|[:.])\s*")
_SPACE: Final = re.compile(r"\s+")


def _name(written: str, language: Language) -> str:
    """Return a name as WRITTEN as a name whose parts are joined by '.'."""
    name = _SPACE.sub(" ", written).strip()
    if name.isidentifier():
        return name
    if name[:1] in ("'", '"', "`"):
        name = name.strip(name[0])
    if "<" in name:
        owner, operator, symbol = name.partition("operator")
        name = _GENERICS.sub("", owner) + operator + symbol
    for pattern, replacement in language.renames:
        name = pattern.sub(replacement, name)
    return _SEPARATOR.sub(".", name).strip(".") if name[:1].isidentifier() else name


_OPENER: Final = re.compile(r",?\s*(?:\{|\bdo:.*|=>|=|:|->|\bdo|\bwhere|\bbegin)$")


def signature(source: Source, definition: Definition) -> str:
    """Return the header of DEFINITION on one line."""
    if definition.what in ("", "namespace", "section"):
        return ""
    # Enough for any header that will be kept, and a bound on what is looked at.
    end = min(definition.body if definition.body >= 0 else definition.end, definition.start + 8 * _SIGNATURE)
    pieces = []
    start = definition.start
    for remark_start, remark_end in definition.remarks:
        pieces.append(source.slice(start, min(remark_start, end)))
        start = remark_end
    pieces.append(source.slice(start, max(start, end)))
    text = " ".join(pieces)
    if definition.body < 0:
        text = text.lstrip().partition("\n")[0]
    text = _OPENER.sub("", " ".join(text.split()))
    return text if len(text) <= _SIGNATURE else text[: _SIGNATURE - 1] + "…"


_MARKER: Final = re.compile(r"(?:/\*+!?<?|//[/!]*<?|#+!?|--+\s*[|^]?|\{-+\s*[|^]?|\*+/?)?\s?")
_END_MARKER: Final = re.compile(r"\s*(?:\*+/|-\})$")
_XML: Final = re.compile(r"</?(?:summary|param|returns|remarks|inheritdoc|see|typeparam|value|example|exception)\b")
_XML_NAMES: Final = re.compile(r"<\w+\s+(?:cref|name|langword|href)=\"(?:[A-Z]:)?([^\"]*)\"\s*(/?)>")
_XML_TAG: Final = re.compile(r"</?\w[^<>]*>")
_PRAGMA: Final = re.compile(
    r"(?:eslint|noqa|pylint|mypy:|type:|go:|\+build|nolint|prettier-|@ts-|rubocop:|shellcheck|#?region|#?endregion"
    r"|clang-format|NOLINT|swiftlint:|swift-format|istanbul|ruff:|fmt:|!/|-\*-|phpcs:|@phpstan|@psalm)"
)
_ATTRIBUTES: Final = ("@", "#[", "[", "{-#")
_LICENSE: Final = re.compile(r"copyright|SPDX-|licen[cs]ed? under", re.IGNORECASE)
_ATTRIBUTE_DOC: Final = re.compile(r'@(?:type)?doc\s+(?:~[sS])?(?:"""(.*?)"""|"((?:[^"\\]|\\.)*)")', re.DOTALL)


def documentation(source: Source, definition: Definition, language: str) -> str:
    """Return the documentation of DEFINITION: its docstring, else the comments that lead it, without their markers."""
    known = LANGUAGES.get(language)
    if known is None:
        return ""
    if known.docstring is not None and definition.body >= 0:
        body = source.slice(definition.body, definition.body + 2 * _DOC)
        if match := known.docstring.match(body):
            text = next((group for group in match.groups() if group is not None), "")
            return cleandoc(text)[:_DOC].strip()
    texts = []
    for start, end in definition.leads:
        written = source.slice(start, min(end, start + 2 * _DOC))
        if match := _ATTRIBUTE_DOC.match(written):
            texts.append(cleandoc(match[1] or match[2] or ""))
        elif (
            not written.startswith(_ATTRIBUTES)
            and not (known.hidden and written.startswith("#"))
            and not _LICENSE.search(written)
        ):
            texts.append(_uncommented(written))
    text = "\n".join(filter(None, texts))
    if _XML.search(text):
        text = _XML_TAG.sub("", _XML_NAMES.sub(r"\1 ", text))
        text = "\n".join(filter(None, map(str.strip, text.splitlines())))
    return text[:_DOC].strip()


def _uncommented(comment: str) -> str:
    """Return the words of one comment."""
    lines = []
    for line in comment.splitlines():
        bare = line.strip()
        bare = _END_MARKER.sub("", bare[_MARKER.match(bare).end() :])  # type: ignore[union-attr] # matches nothing too
        if not _PRAGMA.match(bare):
            lines.append(bare if not CLOSER.fullmatch(bare) else "")
    return "\n".join(lines).strip()
