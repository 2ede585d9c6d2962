"""What speaks for a candidate, on a real index: each kind of evidence finds what only it can find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesearch.corpus import Asked, Vocabulary, code, codes
from codesearch.question import Place, Question
from codesearch.roles import Role, roles, telling_name
from codesearch.text import TOLD, joined, told_last
from codesearch.workspace import Workspace

FILES = {
    "shop/cart.py": '"""What a customer has chosen."""\n\nclass Cart:\n    def add(self, item):\n'
    "        self.items.append(item)\n\n    def total(self):\n        return sum(item.price for item in self.items)\n",
    "shop/rates.py": "def tax_rate(country):\n    return {'de': 19, 'fr': 20}[country]\n\n\n"
    "def request_context(user):\n    return {'user': user, 'cart': None}\n",
    "shop/context.py": "def context(request):\n    return request\n\n\ndef other(a_request):\n    return a_request\n",
    "tests/test_cart.py": "def test_total():\n    cart = Cart()\n    cart.add(item)\n    assert cart.total() == 3\n",
    "shop/checkout/__init__.py": "def pay(cart):\n    return charge(cart.total())\n",
    "shop/users.py": "class Session:\n    def total(self):\n        return Cart().total()\n\n"
    "    def add(self):\n        pass\n",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    root = tmp_path_factory.mktemp("shop")
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    with Workspace.open(root) as workspace:
        for _ in workspace.index(workers=0):
            pass
        yield workspace


@pytest.mark.parametrize(
    ("query", "path", "symbol", "reason"),
    [
        ("Cart", "shop/cart.py", "Cart", "definition"),
        ("Cart.total", "shop/cart.py", "Cart.total", "definition"),
        ("Session::total()", "shop/users.py", "Session.total", "definition"),
        ("where is the Session of a user", "shop/users.py", None, "file: identifiers"),
        ("the request context", "shop/rates.py", None, "file: phrase"),
        ("checkout", "shop/checkout/__init__.py", "pay", "file: whole file name"),
        ('File "shop/cart.py", line 8, in total\nTypeError: bad operand', "shop/cart.py", "Cart.total", "line"),
        ("shop/rates.py:6", "shop/rates.py", "request_context", "line"),
        ("rates.py", "shop/rates.py", None, "file: path"),
    ],
)
def test_each_kind_of_question_finds_its_place_and_says_why(
    query: str, path: str, symbol: str | None, reason: str, workspace: Workspace
) -> None:
    hits = workspace.ask(query, refresh=False).hits
    hit = next(hit for hit in hits if hit.path == path and symbol in (None, hit.symbol))
    assert dict(hit.reasons)[reason] > 0
    if reason != "file: phrase":
        assert hit == hits[0], [(h.path, h.symbol, h.score) for h in hits[:3]]


def test_a_test_comes_after_the_code_unless_tests_are_asked_for(workspace: Workspace) -> None:
    def first(query: str) -> str:
        return workspace.ask(query, refresh=False).hits[0].path

    assert first("add items to a cart and total") == "shop/cart.py"
    assert first("tests that add an item to a cart and total") == "tests/test_cart.py"


def test_of_one_file_the_definition_that_the_question_calls_by_name_comes_first(tmp_path: Path) -> None:
    body = "    rows = open_ledger()\n    for row in rows:\n        row.post(ledger)\n    return rows\n"
    names = ("settle_invoice", "archive_ledger", "print_ledger")
    root = root_of(tmp_path, {"ledger.py": "\n\n".join(f"def {name}(ledger):\n{body}" for name in names)})
    with Workspace.open(root) as workspace:
        for name in names:
            assert workspace.ask(f"how to {name.replace('_', ' ')}").hits[0].symbol == name


def test_a_name_finds_where_its_long_definition_begins(tmp_path: Path) -> None:
    methods = "".join(f"    limit_{n} = {n}\n    ledger_{n} = Ledger(limit_{n})\n" for n in range(200))
    with Workspace.open(root_of(tmp_path, {"books.py": f"class Ledger:\n{methods}"})) as workspace:
        hits = workspace.ask("Ledger").hits
    assert len(hits) > 1
    assert hits[0].span.start_line == 1


def test_an_index_that_grew_ranks_as_one_built_afresh(tmp_path: Path) -> None:
    queries = ["Cart", "add items and total", "tax rate of a country", "request context", "context.py:5", "customer"]

    def answers(workspace: Workspace) -> list[list[tuple[str, int, float]]]:
        return [[(h.path, h.span.start_line, h.score) for h in workspace.ask(query).hits] for query in queries]

    root = tmp_path / "shop"
    with Workspace.open(root_of(root, {"old.py": "def old():\n    return 1\n", **FILES})) as grown:
        for _ in grown.index(workers=0):
            pass
        (root / "old.py").unlink()
        for path in reversed(FILES):
            text = (root / path).read_text()
            (root / path).write_text("def passing():\n    return 2\n")
            assert grown.ask("passing", 1).hits
            (root / path).write_text(text)
            assert grown.ask("cart", 1).hits
        after = answers(grown)
    with Workspace.open(root_of(tmp_path / "afresh", FILES)) as fresh:
        assert answers(fresh) == after


def root_of(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/app.py", set()),
        ("tests/helper.py", {Role.TEST}),
        ("src/app_test.go", {Role.TEST}),
        ("web/cart.spec.ts", {Role.TEST}),
        ("src/CartTest.java", {Role.TEST}),
        ("src/latest/contest.py", set()),
        ("core/jvmTest/kotlin/A.kt", {Role.TEST}),
        ("examples/tests/a.js", {Role.TEST, Role.EXAMPLE}),
        ("docs/guide.py", {Role.DOCUMENTATION}),
        ("README.md", {Role.DOCUMENTATION}),
        ("src/_internal/a.py", {Role.INTERNAL}),
        ("src/newsletter.py", set()),
        ("src/implicit.py", set()),
        ("src/routing/mod.rs", {Role.INDEX}),
        ("third_party/zlib/inflate.c", {Role.VENDORED}),
        ("src/vendors.py", set()),
        ("src/api.d.ts", {Role.STUB}),
    ],
)
def test_roles_are_read_from_names(path: str, expected: set[Role]) -> None:
    assert roles(path) == expected


def test_an_index_file_is_named_after_its_folder() -> None:
    names = {path: telling_name(path) for path in ("src/routing/mod.rs", "index.ts", "a/b.c.d", ".bashrc")}
    assert names == {"src/routing/mod.rs": "routing", "index.ts": "index", "a/b.c.d": "b", ".bashrc": ".bashrc"}


def test_terms_are_alike_by_a_common_beginning_that_is_all_of_one() -> None:
    vocabulary = Vocabulary()
    names = np.array([vocabulary.add(terms) for terms in (["other"], ["authent", "route", "router", "by"], [])])
    weights = {"route": 1.0, "rout": 2.0, "auth": 4.0, "author": 8.0, "byte": 16.0, "routers": 32.0}
    said = 1 + 2 * 4 / 5 + 4 * 4 / 7 + 32 * 6 / 7
    assert Asked(vocabulary, weights).recall(names, weights) == pytest.approx([0, said / 63, 0])
    assert Asked(vocabulary, ["router", "auth"]).shares(names).tolist() == [0, (7 * 4 / 7 + 5 * 5 / 6 + 6) / 20, 0]


def test_a_term_is_counted_in_every_chunk_of_the_files_that_are_asked_for(workspace: Workspace) -> None:
    corpus = workspace.snapshot().corpus
    texts = corpus.mirror.columns["terms"].to_pylist()
    for files in ([0], [2, 1, 4], range(len(corpus.mirror.paths))):
        rows, lengths = corpus.rows(np.array(files))
        said = corpus.said(np.array(files), np.cumsum(lengths) - lengths, len(rows))
        for term in {*" ".join(texts).split(), "unheard"}:
            times, documented = said.count(term)
            assert times.tolist() == [texts[row].split().count(term) for row in rows]
            docs = [texts[row].partition(f" {TOLD} ")[2] for row in rows]
            assert sorted(documented.tolist()) == [at for at, doc in enumerate(docs) if term in doc.split()]


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("bcd")))
def test_the_terms_of_documentation_come_last_and_none_is_lost_or_added(terms: list[str], doc: list[str]) -> None:
    said, _, told = told_last(Counter(terms), Counter(doc)).partition(TOLD)
    assert sorted(said.split() + told.split()) == sorted(terms)
    assert Counter(told.split()) == Counter(doc) & Counter(terms)
    assert said.split() == sorted(said.split())


def test_documentation_is_told_from_the_code_that_it_is_about(tmp_path: Path) -> None:
    files = {
        "a.py": 'def f(rows):\n    """Settle each open invoice."""\n    return post(rows)\n',
        "b.py": "def f(rows):\n    settle(each, open, invoice)\n    return post(rows)\n",
        "c.go": "package c\n\n// Settle each open invoice.\nfunc F(rows int) int {\n\treturn post(rows)\n}\n",
    }
    with Workspace.open(root_of(tmp_path, files)) as workspace:
        hits = workspace.ask("settle invoice").hits
    assert {hit.path: dict(hit.reasons).get("file: doc", 0) > 0 for hit in hits} == {
        "a.py": True,
        "b.py": False,
        "c.go": True,
    }


@given(st.lists(st.lists(st.text("abé_", min_size=1, max_size=4)), max_size=5))
def test_terms_are_counted_by_their_codes(texts: list[list[str]]) -> None:
    found, starts = codes("".join(joined(Counter(text)) for text in texts).encode())
    assert len(starts) == sum(map(len, texts))
    for term in {term for text in texts for term in text}:
        assert (found == code(term)).sum() == sum(text.count(term) for text in texts)


def test_a_question_names_places_as_people_and_programs_do() -> None:
    trace = (
        'File "src/app/main.py", line 31, in run\n  at Cart.total (./web/cart.ts:7:12)\n  src\\win\\pipe.c(40): error'
    )
    assert Question(trace).places == (
        Place("src/app/main.py", 31),
        Place("Cart.total", None),
        Place("web/cart.ts", 7),
        Place("src/win/pipe.c", 40),
    )
    assert Question("how are requests retried").places == ()
