"""What search returns from a real index: filters, the text of hits, and files that change under it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from codesearch.errors import UsageError
from codesearch.rank import CHUNK, FILE
from codesearch.search import Filter, Mode, search, with_text
from codesearch.types import Stale
from codesearch.workspace import Workspace

FILES = {
    "shop/cart.py": "class Cart:\n    def total(self):\n        return sum(item.price for item in self.items)\n",
    "shop/tax/rates.py": "def tax_rate(country):\n    return {'de': 19, 'fr': 20}[country]\n",
    "web/cart.go": "package web\n\nfunc CartTotal(items []Item) int {\n\treturn len(items)\n}\n",
    "docs/cart.md": "# Cart\n\nThe total of a cart.\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as workspace:
        for _ in workspace.index(workers=0):
            pass
        yield workspace


@pytest.mark.parametrize(
    ("globs", "languages", "paths"),
    [
        ((), (), set(FILES)),
        (("shop/",), (), {"shop/cart.py", "shop/tax/rates.py"}),
        (("shop/*.py",), (), {"shop/cart.py"}),
        (("cart.*",), (), {"shop/cart.py", "web/cart.go", "docs/cart.md"}),
        (("cart.*", "!*.md"), (), {"shop/cart.py", "web/cart.go"}),
        (("!docs/", "!/web"), (), {"shop/cart.py", "shop/tax/rates.py"}),
        ((), ("python",), {"shop/cart.py", "shop/tax/rates.py"}),
        (("shop/",), ("python", "go"), {"shop/cart.py", "shop/tax/rates.py"}),
        (("web/",), ("python",), set()),
    ],
)
def test_only_what_a_filter_lets_through_answers(
    globs: tuple[str, ...], languages: tuple[str, ...], paths: set[str], workspace: Workspace
) -> None:
    only = Filter(globs, frozenset(languages))
    hits = workspace.ask("total of a cart with tax rate", only=only, refresh=False).hits
    assert {hit.path for hit in hits} == paths


def test_a_filter_reaches_matches_below_the_first_candidates(root: Path, tmp_path: Path) -> None:
    """The one chunk in Go is far behind hundreds in Python that say the word more often."""
    for n in range(40):
        (tmp_path / f"m{n}.py").write_text(
            "\n\n".join(f"def zeppelin_{n}_{i}(zeppelin):\n    return zeppelin.zeppelin(zeppelin)\n" for i in range(10))
        )
    padding = "\n".join(f"\tstep{i}()" for i in range(30))
    (tmp_path / "z.go").write_text(f"package z\n\nfunc Fly() {{\n{padding}\n\tzeppelin()\n}}\n")
    with Workspace.open(tmp_path) as workspace:
        for _ in workspace.index(workers=0):
            pass
        found, _ = search(workspace.snapshot(), "zeppelin", 5, Mode.TEXT, Filter(languages=frozenset({"go"})))
        assert [hit.path for hit in found] == ["z.go"]


def test_a_pattern_that_makes_no_sense_is_an_error_that_says_so(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="gitignore"):
        workspace.ask("cart", only=Filter(("\\",)), refresh=False)


def test_hits_have_the_text_of_their_lines_and_reasons_that_add_up(workspace: Workspace) -> None:
    answer = workspace.ask("tax rate of a country", refresh=False)
    best = answer.hits[0]
    assert (best.path, best.symbol, best.text) == (
        "shop/tax/rates.py",
        "tax_rate",
        FILES["shop/tax/rates.py"].rstrip("\n"),
    )
    assert answer.state is Stale.FRESH
    for hit in answer.hits:
        assert hit.score == pytest.approx(sum(worth for _, worth in hit.reasons))
        assert {name for name, _ in hit.reasons} <= {*CHUNK, *(f"file: {name}" for name in FILE), "more of its file"}


def test_a_file_that_changed_under_the_search_makes_the_answer_stale(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def zeppelin():\n    return 1\n")
    with Workspace.open(tmp_path) as workspace:
        for _ in workspace.index(workers=0):
            pass
        hits, _ = search(workspace.snapshot(), "zeppelin", 1)
        file.write_text("# moved\ndef zeppelin():\n    return 1\n")
        (hit,), same = with_text(workspace.snapshot(), hits, workspace.settings)
        assert (hit.text.splitlines()[0], same) == ("# moved", False)
        assert workspace.ask("zeppelin", refresh=False).state is Stale.FILES
        assert workspace.ask("zeppelin").hits[0].text.startswith("# moved")


def test_a_file_that_became_a_link_out_of_the_root_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.py").write_text("def zeppelin():\n    return 1\n")
    (tmp_path / "secret.py").write_text("PASSWORD = 1\n")
    with Workspace.open(root) as workspace:
        for _ in workspace.index(workers=0):
            pass
        (root / "a.py").unlink()
        (root / "a.py").symlink_to(tmp_path / "secret.py")
        answer = workspace.ask("zeppelin", refresh=False)
    assert (answer.hits[0].text, answer.state) == ("", Stale.FILES)


def test_a_question_without_a_known_word_finds_nothing_and_breaks_nothing(workspace: Workspace) -> None:
    for question in "", "???", "\x00", "ж" * 50, "and or not (", 'title:"x" AND', "\udcff":
        answer = workspace.ask(question, refresh=False)
        assert answer.state is Stale.FRESH


def test_nearly_the_same_chunk_elsewhere_takes_no_row_but_is_named(tmp_path: Path) -> None:
    body = "\n".join(f"    step_{i}(cargo, winds[{i}])" for i in range(12))
    for folder in ("airship", "vendored/airship"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "fly.py").write_text(f"def zeppelin(cargo, winds):\n{body}\n")
    (tmp_path / "other.py").write_text("def zeppelin(x):\n    return x\n")
    with Workspace.open(tmp_path) as workspace:
        hits = workspace.ask("fly a zeppelin with cargo").hits
    assert [(hit.path, hit.copies) for hit in hits] == [
        ("airship/fly.py", ("vendored/airship/fly.py:1",)),
        ("other.py", ()),
    ]


def test_a_long_function_is_near_what_it_is_called(tmp_path: Path) -> None:
    """Its name is few of its words, and what it is about; one that is shorter and mentions them is not nearer."""
    parts = "queue socket header cookie stream buffer render schema column signal thread worker packet vertex".split()
    steps = "".join(f"    {one} = {one}_of({before})\n" for before, one in pairwise(parts))
    (tmp_path / "payments.py").write_text(f"def retry_payment(queue):\n{steps}    return vertex\n")
    (tmp_path / "log.py").write_text("def show(payment):\n    print(payment, payment.retry)\n")
    with Workspace.open(tmp_path) as workspace:
        for _ in workspace.index(workers=0):
            pass
        hits = workspace.ask("retry a payment", mode=Mode.DENSE).hits
    assert hits[0].symbol == "retry_payment"
