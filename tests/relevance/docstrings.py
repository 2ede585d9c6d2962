"""Does the first sentence of a function's documentation find that function, once the documentation is gone?

    python -m tests.relevance.docstrings JUDGEMENTS REPOSITORIES [NAME …] [--most 100] [--mode fused|dense|text] …

Questions that their authors wrote, about single functions, with one right answer each: what no judge, human or
machine, has touched. Of JUDGEMENTS only `repositories.json` is read. For each repository, its `root`:

1. Every function whose documentation opens with a sentence of prose that stands nowhere else is a candidate; at most
   `--most` are drawn, in the order of a digest of path and symbol, so that a draw is even and always the same.
2. A copy is written in which the documentation of all that are drawn is gone, the whole of it, and nothing else. The
   copy is cut again; a function that is not found there by its name, or of which the sentence is left, is *lost*.
3. The installed command indexes the copy and answers all sentences. A row counts if it shows lines of the function;
   each part of a long one does, and another function of the same name does not.

What counts is the page as a user sees it: ten rows, in the order that `ask` gives, best row of each file first. So a
function that is the second best of its file comes after the best of all other files, and is often not found.
"""

from __future__ import annotations

import html
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

# What is taken away must be what the chunker takes for documentation, byte for byte; it tells no one else where it is.
from codesearch.chunk import TIME_LIMIT, _define, _Definition, _doc, _Source, chunk, decode
from codesearch.eval.relevance import DEPTH, Target
from codesearch.files import Skip, read, scan
from codesearch.languages import LANGUAGES, Language, language_of
from codesearch.settings import Settings
from codesearch.text import words
from codesearch.types import Chunk, Kind
from tests.relevance.harness import Answered, Question, Repository, keep, parser, repositories, run, write

MOST: Final = 100
"""Functions drawn from a repository: enough for a mean that a few sentences do not move."""
FEWEST: Final = 10
"""Questions from which a repository counts in the mean over repositories."""
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
    source = _Source(text)
    file = _Definition("", "", 0, len(source.starts))
    _define(source, file, known, time.monotonic() + TIME_LIMIT)
    definitions = {source.line(d.head): d for d in _below(file)}
    found = []
    for key, (head, *_) in functions(path, text).items():
        lines = range(head.span.start_line, head.span.end_line + 1)
        here = next((d for line in lines if (d := definitions.get(line)) and d.name == key.symbol), None)
        if here is None or not head.doc:
            continue
        sentence = first_sentence(_doc(source, _summarised(source, here), known.name), key.name)
        places = _places(source, here, known)
        if sentence and places and _code_lines(source, here, places, known) >= CODE_LINES:
            found.append(Documented(path, key, sentence, places))
    return found


def _below(definition: _Definition) -> Iterator[_Definition]:
    for child in definition.children:
        yield child
        yield from _below(child)


def _summarised(source: _Source, function: _Definition) -> _Definition:
    """Return FUNCTION with its comments up to the end of a summary, where it has one, as in C#."""
    for count, lead in enumerate(function.leads, 1):
        if "</summary>" in source.slice(*lead):
            return replace(function, leads=function.leads[:count])
    return function


def _places(source: _Source, function: _Definition, language: Language) -> tuple[tuple[int, int], ...]:
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
    return tuple(lead for lead, its in alone if not words(source.slice(*lead)) or _doc(source, its, language.name))


def _code_lines(source: _Source, function: _Definition, places: Iterable[tuple[int, int]], language: Language) -> int:
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
class Draw:
    """What a repository is asked."""

    questions: list[Question]
    candidates: int
    lost: int
    """Functions drawn that are not found again, or not without their sentence."""


def draw(root: Path, copy: Path, most: int) -> Draw:
    """Write a COPY of what is indexed of ROOT, less the documentation of at most MOST functions; return what to ask."""
    texts = dict(_texts(root))
    candidates = _told_once(texts)
    drawn = sorted(candidates, key=_lot)[:most]
    taken: dict[str, list[tuple[int, int]]] = {}
    for one in drawn:
        taken.setdefault(one.path, []).extend(one.places)
    for path, text in texts.items():
        data = without(text.encode("utf-8", "surrogatepass"), taken.get(path, ()))
        texts[path] = data.decode("utf-8", "surrogatepass")
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(data)
    cut = {path: functions(path, texts[path]) for path in taken}
    left = _told(texts)
    questions = []
    for one in drawn:
        parts = cut[one.path].get(one.key)
        if not parts or one.opens(parts[0]) or one.told in left:
            continue
        targets = tuple(Target(one.path, part.span) for part in parts)
        questions.append(Question(one.sentence, "docstring", targets))
    return Draw(questions, len(candidates), len(drawn) - len(questions))


def _texts(root: Path) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file that codesearch indexes of ROOT."""
    settings = Settings()
    for entry in scan(root, settings):
        if not isinstance(entry, Skip) and not isinstance(data := read(entry, settings), Skip):
            yield entry.path, decode(data)


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
    """Return what candidates are drawn by: as good as chance, and the same whatever else is in the repository."""
    return blake2b(f"{one.path}\n{one.key.symbol}".encode(), digest_size=8).digest(), one.places[0][0]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the answers of one repository come to, or their means over several; each figure from 0 to 1."""

    mrr: float
    recall: float
    first: float
    """Share of the questions that the first row answers."""
    questions: int
    candidates: int
    lost: int


def figures_of(drawn: Draw, answers: Sequence[Answered]) -> Figures:
    """Return the figures of ANSWERS to the questions DRAWN, at least one."""
    reciprocal = [answer.score.mrr for answer in answers]
    return Figures(
        mrr=fmean(reciprocal),
        recall=fmean(one > 0 for one in reciprocal),
        first=fmean(one == 1 for one in reciprocal),
        questions=len(answers),
        candidates=drawn.candidates,
        lost=drawn.lost,
    )


def summary(by_repository: Mapping[str, Figures]) -> dict[str, Any]:
    """Return the headline, a mean over the repositories with questions enough, and the figures of all."""
    counted = [one for one in by_repository.values() if one.questions >= FEWEST]
    if not counted:
        sys.exit(f"no repository gives {FEWEST} questions: name a larger one")
    return {
        "overall": {name: fmean(getattr(one, name) for one in counted) for name in ("mrr", "recall", "first")},
        "questions": sum(one.questions for one in counted),
        "too_few": len(by_repository) - len(counted),
        "repository": dict(sorted(by_repository.items())),
    }


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield SUMMARY's lines as people read them."""
    yield f"{'':16}  MRR@{DEPTH}  recall@{DEPTH}  recall@1  questions  candidates  lost"

    def line(name: str, mrr: float, recall: float, first: float, questions: int) -> str:
        return f"{name:16}  {mrr:.4f}     {recall:.4f}    {first:.4f}  {questions:9}"

    for name, f in figures["repository"].items():
        yield f"{line(name, f.mrr, f.recall, f.first, f.questions)}  {f.candidates:10}  {f.lost:4}"
    yield ""
    yield line("OVERALL", **figures["overall"], questions=figures["questions"])
    yield f"{figures['too_few']} repositories with fewer than {FEWEST} questions do not count"


def main() -> None:
    """Read the arguments, draw, ask, and print a table; with --keep, write it down."""
    options = parser("tests.relevance.docstrings", __doc__)
    options.add_argument("--most", type=int, default=MOST, help="functions drawn from a repository")
    given = options.parse_args()
    if given.most < FEWEST:
        options.error(f"--most {given.most} leaves too few questions for a mean; give {FEWEST} or more")

    started = time.perf_counter()
    answers: list[Answered] = []
    by_repository: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="docstrings-") as folder:
        environment = os.environ | {"CODESEARCH_HOME": str(Path(folder, "indexes"))}
        for repository in repositories(given.judgements, given.repositories, given.names):
            copy = Repository(repository.name, "", Path(folder, "copies", repository.name))
            drawn = draw(repository.scope("root")[0], copy.folder, given.most)
            if not drawn.questions:
                print(f"{repository.name:16}   no questions", file=sys.stderr, flush=True)
                continue
            got = run(copy, drawn.questions, "root", ["--mode", given.mode], environment)
            answers += got
            by_repository[repository.name] = figures_of(drawn, got)
            print(f"{repository.name:16}   {by_repository[repository.name].mrr:.4f}", file=sys.stderr, flush=True)
    figures = summary(by_repository)
    print("\n".join(table(figures)))
    if given.run:
        write(answers, given.run)
    if given.keep:
        about = {"measure": "docstrings", "mode": given.mode, "most": given.most}
        command = ["tests.relevance.docstrings", *given.names, "--mode", given.mode, "--most", str(given.most)]
        keep(f"docstrings-{given.mode}", about, figures, command, started)


if __name__ == "__main__":
    main()
