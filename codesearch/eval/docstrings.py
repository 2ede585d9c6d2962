"""Documented functions, what their documentation says of them in a sentence, and a repository without it.

Questions that their authors wrote, with one right answer each: what an evaluation asks, and what a retriever may be
trained on. Whoever asks has to take the documentation away first, all of it and nothing else: what is taken is what the
chunker takes for documentation, byte for byte.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from codesearch.chunk import chunk, decode
from codesearch.files import FileEntry, Skip, read, scan
from codesearch.languages import LANGUAGES, Language, language_of
from codesearch.settings import Settings
from codesearch.syntax import Definition, Source, comments, definitions, documentation
from codesearch.text import words
from codesearch.types import Chunk, Kind, Span

SHORTEST: Final = 4
LONGEST: Final = 30
"""Words of a sentence that is a question: less names a thing, more is an essay."""
CODE_LINES: Final = 4
"""Lines of code that a function needs beside its documentation: getters are told apart by their names alone."""
PROSE: Final = 0.7
"""Share of a sentence's words that are plain ones; in commented-out code and tables of values it is lower."""


_FUNCTIONS: Final = frozenset({Kind.FUNCTION, Kind.METHOD})
_BLOCK: Final = re.compile(
    r"\s*(?:$|[-*+>|#=~•$]|\d+[.)]\s|```|\.\.|[@\\]\w|:\w+[^:`]*:(?!`)|</?(?:p|br|hr|ul|ol|li|pre|table|h\d|example)\b"
    r"|(?:[A-Z]\w*\s?){1,2}:\s*$)"
)
"""A line that ends a paragraph: blank, or the first of a list, a heading, a tag, code or a table."""
_BRIEF: Final = re.compile(r"\s*[@\\](?:brief|summary|short|description)\s+")
_MARKUP: Final = (
    (re.compile(r"\{@(?:link|linkplain|code|literal|value|see)\s+#?([^{}]*)\}"), r"\1"),
    (re.compile(r":[\w:]+:`[~.!]*([^`<]*?)(?:\s*<[^`]*>)?`"), r"\1"),
    (re.compile(r"!?\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)"), r"\1"),
    (re.compile(r"\[+([^\[\]]+)\]+(?:\[[^\[\]]*\])?"), r"\1"),
    (re.compile(r"</?[A-Za-z][^<>]*>"), ""),
    (re.compile(r"(?<!\w)([_+])(\w[^_+\s]*)\1(?!\w)"), r"\2"),
    (re.compile(r"[`*]+"), ""),
)
"""What marks a link, a reference or a type face, and what is left of it."""
_STOP: Final = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bcf)[.!?](?=[\"')\]]*(?:\s|$))")
_NOT_PROSE: Final = re.compile(
    r"[{}=;|\\<>@]|::|->|://|\b(?:TODO|FIXME|XXX|HACK)\b|:$"
    r"|\b(?-i:[A-Z]{4,} [A-Z]{6,})\b|inheritdoc|copyright|licen[cs]ed? under",
    re.IGNORECASE,
)
"""Code, addresses, notes to oneself, banners in capitals, licences, and what announces a list."""
_LABEL: Final = re.compile(r"\w+:\s")
"""`Note:` and `args:` begin a remark or a list, not what a function does."""
_ENDS: Final = re.compile(r"[ \t]*(?:#.*)?\r?\n")
"""What follows a docstring that is a statement of its own."""
_LEADING: Final = re.compile(r"(?:[ \t]*(?:#.*)?\n)*")
"""What may stand before the docstring of a file."""
_PLAIN: Final = re.compile(r"[\"'(]*[A-Za-z][a-z]*(?:['’/-][A-Za-z]?[a-z]*)*[\"'),.:!?]*")


class Key(NamedTuple):
    """What a function is known by within its file, with and without documentation."""

    symbol: str
    signature: str
    copy: int
    """Among those of one symbol and signature, from 0."""

    @property
    def name(self) -> str:
        """The symbol without what it belongs to."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Documented:
    """A function that says in a sentence what it does."""

    path: str
    key: Key
    sentence: str
    places: tuple[tuple[int, int], ...]
    """Bytes of its documentation, in the UTF-8 of its file."""

    @property
    def told(self) -> str:
        """The words of its sentence, between blanks."""
        return f" {' '.join(words(self.sentence))} "

    def opens(self, chunk: Chunk) -> bool:
        """Return whether the documentation of CHUNK opens with the sentence."""
        return first_sentence(chunk.doc, self.key.name) == self.sentence


def first_sentence(doc: str, name: str) -> str | None:
    """Return the first sentence of DOC in plain words, or None where it has none that is a question.

    NAME is what the function is called. Where its name begins the sentence, as is the custom in Go, it is left out:
    with it the question would be a search for a name.
    """
    lines: list[str] = []
    for line in _BRIEF.sub("", doc, count=1).splitlines():
        if _BLOCK.match(line):
            break
        lines.append(line.strip())
    text = " ".join(lines)
    for pattern, plain in _MARKUP:
        text = pattern.sub(plain, text)
    text = " ".join(html.unescape(text).split())
    if stop := _STOP.search(text):
        text = text[: stop.end()]
    first, _, rest = text.partition(" ")
    if first.strip("()'\",:").rpartition(".")[2] == name:
        text = rest
    said = text.split()
    if not SHORTEST <= len(said) <= LONGEST or not text[0].isalpha() or _NOT_PROSE.search(text) or _LABEL.match(text):
        return None
    return text if sum(map(bool, map(_PLAIN.fullmatch, said))) >= PROSE * len(said) else None


def functions(path: str, text: str) -> dict[Key, list[Chunk]]:
    """Return the functions and methods of the file at PATH that are chunks, each with its parts."""
    found: dict[Key, list[Chunk]] = {}
    copies: Counter[tuple[str, str]] = Counter()
    for piece in chunk(path, text):
        if piece.kind not in _FUNCTIONS:
            continue
        named = piece.symbol, piece.signature
        if not piece.part:
            copies[named] += 1
        found.setdefault(Key(*named, copies[named] - 1), []).append(piece)
    return found


def documented(path: str, text: str) -> list[Documented]:
    """Return the functions of the file at PATH, which holds TEXT, that are long enough and open with a sentence."""
    known = LANGUAGES.get(language_of(path, text[:4096].encode("utf-8", "replace")) or "")
    if known is None:
        return []
    source = Source(text)
    at = {source.line(d.head): d for d in _below(definitions(source, known))}
    found = []
    for key, (head, *_) in functions(path, text).items():
        lines = range(head.span.start_line, head.span.end_line + 1)
        here = next((d for line in lines if (d := at.get(line)) and d.name == key.symbol), None)
        if here is None or not head.doc:
            continue
        sentence = first_sentence(documentation(source, _summarised(source, here), known.name), key.name)
        places = _places(source, here, known)
        if sentence and places and _code_lines(source, here, places, known) >= CODE_LINES:
            found.append(Documented(path, key, sentence, places))
    return found


def prose(path: str, text: str) -> tuple[tuple[int, int], ...]:
    """Return the bytes of every comment and docstring of the file at PATH, which holds TEXT.

    But for a first line that names an interpreter, and a docstring that is all there is of a body.

    What is left is code as most private code is: without a word of what it is for.
    """
    known = LANGUAGES.get(language_of(path, text[:4096].encode("utf-8", "replace")) or "")
    if known is None:
        return ()
    source = Source(text)
    found = {place for one in _below(definitions(source, known)) for place in _places(source, one, known)}
    lead = _LEADING.match(text)
    if known.docstring is not None and lead and (own := known.docstring.match(text, lead.end())):
        before, whole = (len(text[:end].encode("utf-8", "surrogatepass")) for end in (lead.end(), own.end()))
        found.add((before, whole))
    found.update(place for place in comments(source, known) if not source.data.startswith(b"#!", place[0]))
    return _apart(found)  # a comment may be documentation, too: none is cut twice


def _apart(places: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return PLACES in order, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return tuple(joined)


def _below(definition: Definition) -> Iterator[Definition]:
    for child in definition.children:
        yield child
        yield from _below(child)


def _summarised(source: Source, function: Definition) -> Definition:
    """Return FUNCTION with its comments up to the end of a summary, where it has one, as in C#."""
    for count, lead in enumerate(function.leads, 1):
        if "</summary>" in source.slice(*lead):
            return replace(function, leads=function.leads[:count])
    return function


def _places(source: Source, function: Definition, language: Language) -> tuple[tuple[int, int], ...]:
    """Return the bytes that the chunker reads as the documentation of FUNCTION; none where code needs them."""
    if language.docstring is not None and function.body >= 0:
        body = source.slice(function.body, function.end)
        if match := language.docstring.match(body):
            written = match[0].lstrip()
            # Without it nothing would be left, or half an expression; or a macro (Elixir) documents what it makes.
            if written.startswith("do") or not body[match.end() :].strip() or not _ENDS.match(body, match.end()):
                return ()
            end = function.body + len(match[0].encode())
            return ((end - len(written.encode()), end),)
    alone = ((lead, replace(function, leads=(lead,), body=-1)) for lead in function.leads)
    # An empty comment is a line of a longer one; a decorator or a directive is not documentation alone, and stays.
    return tuple(
        lead for lead, its in alone if not words(source.slice(*lead)) or documentation(source, its, language.name)
    )


def _code_lines(source: Source, function: Definition, places: Iterable[tuple[int, int]], language: Language) -> int:
    """Return how many lines of FUNCTION are more than blanks, comment or documentation."""
    start, end = function.start, function.end
    inside = [(low - start, high - start) for low, high in places if low > start]
    lines = map(str.strip, without(source.data[start:end], inside).decode("utf-8", "replace").splitlines())
    return sum(bool(line) and not line.startswith(language.comments) for line in lines)


def without(data: bytes, places: Iterable[tuple[int, int]]) -> bytes:
    """Return DATA without its bytes at PLACES, and without the lines that held nothing else."""
    for start, end in sorted(places, reverse=True):
        low = data.rfind(b"\n", 0, start) + 1
        high = data.find(b"\n", end) + 1 or len(data)
        if not data[low:start].strip() and not data[end:high].strip():
            start, end = low, high
        data = data[:start] + data[end:]
    return data


@dataclass(frozen=True, slots=True)
class Stripped:
    """What became of a repository whose documentation was taken away, in part."""

    asked: tuple[tuple[Documented, tuple[Span, ...]], ...]
    """Functions, each with its lines in the copy, one span a part."""
    candidates: int
    """Functions with a sentence that stands nowhere else."""
    lost: int
    """Chosen functions that are not found again, or not without their sentence."""


def strip(
    root: Path,
    copy: Path,
    choose: Callable[[list[Documented]], Sequence[Documented]],
    settings: Settings | None = None,
    *,
    wordless: bool = False,
) -> Stripped:
    """Write a COPY of what is indexed of ROOT, less the documentation of the functions that CHOOSE picks.

    It picks from those that say in a sentence, which stands nowhere else, what they do; in the order of their files.
    WORDLESS takes away every comment and docstring there is, and Markdown and other plain text with them.
    """
    texts = {entry.path: decode(data) for entry, data in readable(root, settings or Settings())}
    candidates = _told_once(texts)
    chosen = choose(candidates)
    taken: dict[str, list[tuple[int, int]]] = {}
    for one in chosen:
        taken.setdefault(one.path, []).extend(one.places)
    if wordless:
        texts = {path: text for path, text in texts.items() if language_of(path, b"") in LANGUAGES}
        taken = {path: list(prose(path, text)) for path, text in texts.items()}
    for path, text in texts.items():
        data = without(text.encode("utf-8", "surrogatepass"), taken.get(path, ()))
        texts[path] = data.decode("utf-8", "surrogatepass")
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(data)
    cut = {path: functions(path, texts[path]) for path in taken}
    left = _told(texts)
    asked = []
    for one in chosen:
        parts = cut[one.path].get(one.key)
        if parts and not one.opens(parts[0]) and one.told not in left:
            asked.append((one, tuple(part.span for part in parts)))
    return Stripped(tuple(asked), len(candidates), len(chosen) - len(asked))


def by_lot(candidates: Iterable[Documented]) -> list[Documented]:
    """Return CANDIDATES in an order as good as chance, and the same whatever else is in the repository."""
    return sorted(candidates, key=_lot)


def readable(root: Path, settings: Settings) -> Iterator[tuple[FileEntry, bytes]]:
    """Yield each file that codesearch indexes of ROOT, with its content."""
    for entry in scan(root, settings):
        if not isinstance(entry, Skip) and not isinstance(data := read(entry, settings), Skip):
            yield entry, data


def _told(texts: Mapping[str, str]) -> str:
    """Return all words of TEXTS, each between blanks, file after file."""
    return "\n".join(f" {' '.join(words(text))} " for text in texts.values())


def _told_once(texts: Mapping[str, str]) -> list[Documented]:
    """Return the documented functions of TEXTS whose sentence stands nowhere else."""
    told = _told(texts)
    found = [one for path, text in texts.items() for one in documented(path, text)]
    times = Counter(one.told for one in found)
    # Markup within a sentence hides it from the second count, which is none then.
    return [one for one in found if times[one.told] == 1 and told.count(one.told) <= 1]


def _lot(one: Documented) -> tuple[bytes, int]:
    return blake2b(f"{one.path}\n{one.key.symbol}".encode(), digest_size=8).digest(), one.places[0][0]
