"""What belongs to a line of code, as a person at the prompt and a program get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, write

FILES = {
    "shop/cart.py": "class Cart:\n    def total(self):\n        return sum(i.price for i in self.items)\n\n"
    "    def checkout(self):\n        return pay(self.total())\n\n\ndef pay(amount):\n    return amount\n",
    "shop/invoice.py": "from shop.cart import Cart\n\n\ndef invoice(cart: Cart):\n    return f'due: {cart.total()}'\n",
    "bank/account.go": "package bank\n\nfunc total(entries []int) int {\n\treturn len(entries)\n}\n\n"
    "func report() int {\n\treturn total(nil)\n}\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\n\ndef test_total():\n    assert Cart().total() == 0\n",
    "tests/test_invoice.py": "def test_invoice():\n    assert invoice(Cart()) == 'due: 0'\n    assert x.total()\n",
    "README.md": "# Shop\n\n## Totals\n\n`Cart.total` adds prices up.\n\n## Other\n\nNothing of it, subtotals apart.\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("related"), FILES)


def test_tests_documentation_and_callers_are_told_apart_and_namesakes_come_last(
    root: Path, codesearch: Command
) -> None:
    done = codesearch("related", "cart.py:2", "--root", root, "--json", cwd=root / "shop")
    said = json.loads(done.stdout)
    assert (done.returncode, said["path"], said["symbol"]) == (0, "shop/cart.py", "Cart.total")
    found: dict[str, list[tuple[str, str]]] = {}
    for hit in said["related"]:
        found.setdefault(hit["relation"], []).append((hit["path"], hit["symbol"]))
    assert found["test"][0] == ("tests/test_cart.py", "test_total")
    assert ("tests/test_invoice.py", "test_invoice") in found["test"]
    assert found["documentation"] == [("README.md", "Shop > Totals")]
    callers = found["caller"]
    assert set(callers[:2]) == {("shop/cart.py", "Cart.checkout"), ("shop/invoice.py", "invoice")}
    assert callers[-1] == ("bank/account.go", "report")
    everything = [place for places in found.values() for place in places]
    assert ("shop/cart.py", "Cart.total") not in everything
    assert len(set(everything)) == len(everything)


def test_a_pipe_gets_lines_that_say_the_name(root: Path, codesearch: Command) -> None:
    lines = codesearch("related", "shop/cart.py:2", "-n", "2", cwd=root).stdout.splitlines()
    assert lines[0] == "tests/test_cart.py:4:def test_total():"
    for line in lines:
        path, number, text = line.split(":", 2)
        assert (root / path).read_text().splitlines()[int(number) - 1] == text


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("shop/cart.py", "names no line"),
        ("shop/cart.py:x", "names no line"),
        ("shop/cart.py:99", "has no line 99; it ends at line 10"),
        ("shop/none.py:1", "codesearch inspect"),
    ],
)
def test_a_place_that_is_none_is_an_error_that_says_what_to_do(
    place: str, message: str, root: Path, codesearch: Command
) -> None:
    done = codesearch("related", place, cwd=root)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
