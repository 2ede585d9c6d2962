"""A commit is all of a batch or nothing, replaces what was there, and is refused to who has not seen the one before."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from codesearch import bundle
from codesearch.errors import IndexFormatError, UsageError
from codesearch.fleet import commit as commit_module
from codesearch.fleet import tidy as tidy_module
from codesearch.fleet.access import Access
from codesearch.fleet.build import Built, build
from codesearch.fleet.commit import Writer
from codesearch.fleet.schema import CURSOR, ENTRY
from codesearch.fleet.search import Fleet
from codesearch.fleet.settings import FleetSettings
from codesearch.fleet.sources import Source
from codesearch.fleet.store import FleetStore
from codesearch.fleet.tidy import index_all, tidy
from codesearch.paths import base_bundle
from tests.fleet.conftest import built, commit


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer.open(str(tmp_path / "store"), bundle.load(base_bundle()))


def die(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def rows(writer: Writer) -> Counter[tuple[str, str, str]]:
    """Return how many rows of each kind the repositories have, as of which commit."""
    table = writer.dataset("chunks").to_table(["repository", "commit", "kind"])
    kinds = (kind if kind in (ENTRY, CURSOR) else "chunk" for kind in table["kind"].to_pylist())
    return Counter(zip(table["repository"].to_pylist(), table["commit"].to_pylist(), kinds, strict=True))


def terms(writer: Writer) -> dict[str, int]:
    """Return how many chunks hold each term, by all that the cursor's version of the statistics has."""
    table = FleetStore.open(writer.uri)._terms.search().to_arrow()
    counts: Counter[str] = Counter()
    for term, chunks in zip(table["term"].to_pylist(), table["chunks"].to_pylist(), strict=True):
        counts[term] += chunks
    return dict(counts)


def counted(writer: Writer) -> dict[str, int]:
    """Return the same, counted in the chunks."""
    found: Counter[str] = Counter()
    for text in writer.dataset("chunks").to_table(["terms"])["terms"].to_pylist():
        found.update(set((text or "").split()))
    return dict(found)


def test_a_changed_commit_takes_the_place_of_the_old_one(writer: Writer, shop: Path, billing: Path) -> None:
    sources = [Source(str(folder), folder.name) for folder in (shop, billing)]
    old = [built(source, writer.uri) for source in sources]
    assert [entry.repository for entry in writer.commit(old)] == ["shop", "billing"]
    before = writer.dataset("chunks").version
    index_all(writer)
    changed = commit(billing, {"billing/invoice.py": "def remind(customer):\n    '''Ask again.'''\n"})
    new = built(sources[1], writer.uri, writer.entries()["billing"])
    version = writer.dataset("chunks").version
    writer.commit([new])
    assert writer.dataset("chunks").version == version + 1, "one commit: nobody sees half of it"
    assert version > before
    expected = {("shop", old[0].entry.commit), ("billing", changed), (None, None)}
    assert {key[:2] for key in rows(writer)} == expected
    assert rows(writer)["billing", changed, "chunk"] == new.entry.chunks
    assert rows(writer)["billing", changed, ENTRY] == rows(writer)[None, None, CURSOR] == 1  # type: ignore[index]
    assert terms(writer) == counted(writer)
    hits = Fleet(writer.uri, Access()).ask("send_invoice", min_score=0).hits
    assert not any(hit.symbol == "send_invoice" for hit in hits)


def test_a_reader_goes_on_with_what_it_has_opened(writer: Writer, shop: Path) -> None:
    source = Source(str(shop), "shop")
    writer.commit([built(source, writer.uri)])
    index_all(writer)
    fleet = Fleet(writer.uri, Access())
    before = fleet.ask("how is the sum of the cart computed").hits
    commit(shop, {"shop/cart.py": "def nothing():\n    pass\n"})
    writer.commit([built(source, writer.uri)])
    assert fleet.ask("how is the sum of the cart computed").hits == before
    fleet.refresh()
    assert fleet.ask("how is the sum of the cart computed", min_score=0).hits != before


def test_what_is_in_is_not_built_again_unless_its_visibility_changes(writer: Writer, shop: Path) -> None:
    source = Source(str(shop), "shop")
    writer.commit([built(source, writer.uri)])
    entry = writer.entries()["shop"]

    def again(source: Source) -> Any:
        return build(source, entry, writer.uri, str(base_bundle()), timeout=60, careful=False)

    assert again(source) is None
    shown = again(replace(source, visibility="public"))
    assert isinstance(shown, Built)
    writer.commit([shown])
    assert writer.entries()["shop"].visibility == "public"
    assert sum(rows(writer).values()) == entry.chunks + 2


def test_a_folder_that_is_no_repository_counts_by_its_content(writer: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a.py").write_text("def answer():\n    return 42\n")
    source = Source(str(folder), "plain")
    first = built(source, writer.uri)
    assert first.entry.commit.startswith("tree:")
    writer.commit([first])
    known = writer.entries()["plain"]
    assert build(source, known, writer.uri, str(base_bundle()), timeout=60, careful=False) is None
    (folder / "a.py").write_text("def answer():\n    return 43\n")
    assert built(source, writer.uri, known).entry.commit != known.commit


def test_of_two_drivers_that_commit_the_same_one_finds_it_done(writer: Writer, shop: Path, billing: Path) -> None:
    sources = [Source(str(folder), folder.name) for folder in (shop, billing)]
    theirs = [[built(source, writer.uri) for source in sources] for _ in range(4)]
    done: list[list[Any]] = []

    def drive(made: list[Built]) -> None:
        done.append(Writer(writer.uri, writer.identity).commit(made))

    threads = [Thread(target=drive, args=(made,)) for made in theirs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, done)) == len(sources)
    assert [count for (_, _, kind), count in rows(writer).items() if kind in (ENTRY, CURSOR)] == [1, 1, 1]
    assert sum(rows(writer).values()) == sum(one.entry.chunks for one in theirs[0]) + 3
    assert terms(writer) == counted(writer)


def test_statistics_that_a_dead_driver_left_do_not_count(
    writer: Writer, shop: Path, billing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died between its two commits, to the statistics and to the chunks."""
    writer.commit([built(Source(str(shop), "shop"), writer.uri)])
    before = terms(writer)
    made = [built(Source(str(billing), "billing"), writer.uri)]
    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "write_fragments", die)  # of the entry, after the statistics
        with pytest.raises(KeyboardInterrupt):
            writer.commit(made)
    assert list(writer.entries()) == ["shop"]
    assert terms(writer) == before == counted(writer)
    index_all(writer)
    assert terms(writer) == before
    commit(shop, {"shop/discount.py": "def halve(price):\n    return price / 2\n"})
    writer.commit([built(Source(str(shop), "shop"), writer.uri)])
    assert terms(writer) == counted(writer) != before
    writer.commit(made)
    assert terms(writer) == counted(writer)


def test_a_driver_that_dies_beside_another_leaves_nothing_that_counts_twice(
    writer: Writer, shop: Path, billing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It commits statistics of the same repository after the other has opened them, and dies."""
    source = Source(str(shop), "shop")
    ours, theirs = built(source, writer.uri), built(source, writer.uri)
    replaced = commit_module._replaced

    def beside(*args: Any) -> Any:
        monkeypatch.setattr(commit_module, "_replaced", replaced)
        monkeypatch.setattr(commit_module, "write_fragments", die)
        with pytest.raises(KeyboardInterrupt):
            Writer(writer.uri, writer.identity).commit([theirs])
        monkeypatch.undo()
        return replaced(*args)

    monkeypatch.setattr(commit_module, "_replaced", beside)
    assert writer.commit([ours]) == [ours.entry]
    assert terms(writer) == counted(writer)
    writer.commit([built(Source(str(billing), "billing"), writer.uri)])
    assert terms(writer) == counted(writer)


def test_a_repository_without_anything_to_index_is_in_and_answers_nothing(writer: Writer, tmp_path: Path) -> None:
    commit(tmp_path / "bare", {"photo.bin": "\0" * 100})
    source = Source(str(tmp_path / "bare"), "bare")
    made = built(source, writer.uri)
    assert (made.entry.chunks, made.chunks, made.terms) == (0, (), ())
    writer.commit([made])
    index_all(writer)
    fleet = Fleet(writer.uri, Access())
    assert [entry.repository for entry in fleet.entries] == ["bare"]
    assert fleet.ask("anything at all", min_score=0).hits == ()
    assert build(source, writer.entries()["bare"], writer.uri, str(base_bundle()), timeout=60, careful=False) is None


def test_a_repository_can_be_taken_out(writer: Writer, shop: Path, billing: Path) -> None:
    writer.commit([built(Source(str(folder), folder.name), writer.uri) for folder in (shop, billing)])
    writer.remove(["shop"])
    assert {name for name, _, _ in rows(writer)} == {"billing", None}
    assert terms(writer) == counted(writer)


def test_a_store_is_of_one_model(writer: Writer) -> None:
    loaded = bundle.load(base_bundle())
    other = replace(loaded, description=replace(loaded.description, max_tokens=7))
    with pytest.raises(UsageError, match="new store"):
        Writer.open(writer.uri, other)


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    import lance
    import pyarrow as pa

    lance.write_dataset(pa.table({"a": [1]}), str(tmp_path / "chunks.lance"))
    with pytest.raises(IndexFormatError, match="no store"):
        Writer.open(str(tmp_path), bundle.load(base_bundle()))
    with pytest.raises(IndexFormatError, match="no store"):
        FleetStore.open(str(tmp_path / "nowhere"))


def test_tidying_does_not_count_what_a_driver_left_that_died_meanwhile(
    writer: Writer, shop: Path, billing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It commits statistics while another tidies, and dies before its chunks."""
    writer.commit([built(Source(str(shop), "shop"), writer.uri)])
    made = [built(Source(str(billing), "billing"), writer.uri)]
    name_terms = Writer.name_terms

    def beside(self: Writer) -> None:
        monkeypatch.undo()
        with monkeypatch.context() as patch:
            patch.setattr(commit_module, "write_fragments", die)
            with pytest.raises(KeyboardInterrupt):
                Writer(writer.uri, writer.identity).commit(made)
        name_terms(self)

    monkeypatch.setattr(Writer, "name_terms", beside)
    tidy(writer, FleetSettings())
    assert terms(writer) == counted(writer)
    writer.commit(made)
    for _ in range(2):
        index_all(writer)
        assert terms(writer) == counted(writer)


def test_drivers_that_make_the_store_at_a_time_make_one(tmp_path: Path) -> None:
    """Whoever comes second must not begin anew, over what the first has put in."""
    uri = str(tmp_path / "store")
    sources = []
    for number in range(6):
        commit(tmp_path / f"r{number}", {"a.py": f"def answer_{number}():\n    return {number}\n"})
        sources.append(Source(str(tmp_path / f"r{number}"), f"r{number}"))
    barrier = Barrier(len(sources))

    def drive(source: Source) -> None:
        barrier.wait()
        own = Writer.open(uri, bundle.load(base_bundle()))
        own.commit([built(source, uri)])

    threads = [Thread(target=drive, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer = Writer.open(uri, bundle.load(base_bundle()))
    assert sorted(writer.entries()) == [source.name for source in sources]
    assert terms(writer) == counted(writer)
    assert writer.dataset("model").count_rows() == len(bundle.load(base_bundle()).description.files) + 1


@pytest.mark.parametrize("table", ["terms", "model"])
def test_a_store_that_was_made_in_part_is_made_whole(tmp_path: Path, shop: Path, table: str) -> None:
    uri = str(tmp_path / "store")
    Writer.open(uri, bundle.load(base_bundle()))
    shutil.rmtree(tmp_path / f"store/{table}.lance")
    writer = Writer.open(uri, bundle.load(base_bundle()))
    writer.commit([built(Source(str(shop), "shop"), uri)])
    index_all(writer)
    assert Fleet(uri, Access()).ask("Cart.total", min_score=0).hits


def test_of_two_that_tidy_at_a_time_one_leaves_it_to_the_other(
    writer: Writer, shop: Path, billing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.commit([built(Source(str(shop), "shop"), writer.uri)])
    index_all(writer)
    writer.commit([built(Source(str(billing), "billing"), writer.uri)])
    monkeypatch.setattr(tidy_module, "_BEHIND", 0)
    behind = tidy_module._behind
    done = []

    def beside(dataset: Any) -> bool:
        found = behind(dataset)
        if found:
            writer.dataset("terms" if "terms" in dataset.uri else "chunks").optimize.optimize_indices()
            done.append(dataset.uri)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(tidy_module, "_behind", beside)
        tidy(writer, FleetSettings())
    assert done
    assert terms(writer) == counted(writer)
    tidy(writer, FleetSettings())
    assert terms(writer) == counted(writer)
