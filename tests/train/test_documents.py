"""What a repository offers to train on: words from comments and commits, links from tests, and no boilerplate."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from codesearch.eval.commits import history
from codesearch.eval.heldout import cut
from codesearch.settings import Settings
from revela_train import tokenizer
from revela_train.documents import material

LICENCE = "# Copyright of the authors of the shop, see the file called COPYING\n"
FILES = {
    "shop/basket.py": LICENCE
    + "from shop.prices import price_of\n\n\ndef total_of_basket(items):\n    seen = 0\n    for item in items:\n"
    "        seen += price_of(item)\n    return seen\n",
    "shop/prices.py": LICENCE
    + 'import math\n\n\ndef price_of(item):\n    """Round the price of an item up to whole pence."""\n'
    "    exact = item.price * item.count\n    return math.ceil(exact)\n",
    "tests/test_basket.py": LICENCE
    + "from shop.basket import total_of_basket\n\n\ndef test_total_of_basket_is_a_sum():\n"
    "    found = total_of_basket([1, 2, 3])\n    assert found == 6\n    assert found is not None\n",
    "shop/extra.py": LICENCE
    + "\n\ndef unrelated_thing(left, right):\n    both = left + right\n    return both * both\n",
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *arguments], check=True, timeout=60
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    git(tmp_path, "init", "-q", str(root))
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        git(root, "add", path)
        said = {"shop/basket.py": "Sum what a customer wants to buy\n\nSigned-off-by: a <a@b>"}.get(path, "wip")
        git(root, "commit", "-qm", said)
    return root


def test_words_come_from_comments_and_commits_and_boilerplate_is_left_out(shop: Path) -> None:
    commits = history(shop)
    assert [commit.message for commit in commits] == ["Sum what a customer wants to buy"], "others say too little"
    pieces = tokenizer.train([" ".join(FILES.values()).lower().replace("_", " ")] * 20, 400)
    offered = material(cut(shop, Settings()), pieces, pieces, commits)

    def text(name: str, row: int) -> str:
        ids = getattr(offered.pieces, name)[row]
        return str(pieces.decode(ids.tolist())).replace(" ##", "")

    rows = {text("symbol", row): row for row in range(len(offered.pieces.repository))}
    assert text("doc", rows["price of"]).startswith("round the price")
    assert text("doc", rows["total of basket"]).startswith("sum what a customer")
    assert (offered.documented, offered.committed) == (1, 1)
    assert not any("copyright" in text("body", row) or "import" in text("body", row) for row in rows.values())
    linked = [rows["test total of basket is a sum"], rows["total of basket"]]
    assert offered.links.tolist() == [linked]


def test_code_is_asked_for_with_what_was_said_of_it_or_else_with_its_name(shop: Path) -> None:
    pieces = tokenizer.train([" ".join(FILES.values()).lower().replace("_", " ")] * 20, 400)
    shelf = material(cut(shop, Settings()), pieces, pieces, history(shop)).library
    assert shelf is not None and shelf.words is not None
    said = {
        str(pieces.decode(shelf.tokens[i].tolist())): str(pieces.decode(shelf.words.tokens[i].tolist()))
        for i in np.flatnonzero(shelf.code).tolist()
    }
    of = {body.replace(" ##", ""): words.replace(" ##", "") for body, words in said.items()}
    assert next(words for body, words in of.items() if "ceil" in body).startswith("round the price")
    assert next(words for body, words in of.items() if "both" in body).endswith("unrelated thing")


def test_files_that_belong_together_are_related_and_distractors_are_of_other_files(shop: Path) -> None:
    pieces = tokenizer.train([" ".join(FILES.values()).lower().replace("_", " ")] * 20, 400)
    shelf = material(cut(shop, Settings()), pieces, pieces).library
    assert shelf is not None
    names = {"basket": 0, "extra": 1, "prices": 2, "test": 3}  # in order of path
    assert shelf.related[names["test"]] == [names["basket"]]
    assert names["prices"] in shelf.related[names["basket"]]
    assert names["extra"] not in shelf.related
    for row, others in shelf.near.items():
        assert all(shelf.cluster[other] != shelf.cluster[row] for other in others)
    assert np.diff(shelf.tokens.offsets).min() > 0


def test_a_folder_without_history_has_no_commits(tmp_path: Path) -> None:
    assert history(tmp_path) == []
