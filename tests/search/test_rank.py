"""How candidates become a page: fused by rank, every score explained, no file filling it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codesearch.rank import FILE_CHUNKS, Candidate, rank


def chunks(*places: str) -> list[Candidate]:
    """`a1` is the chunk in line 1 of the file a."""
    return [Candidate(ord(place[0]) * 100 + int(place[1:]), place[0], int(place[1:])) for place in places]


def order(**found: list[Candidate]) -> list[str]:
    return [f"{r.candidate.path}{r.candidate.line}" for r in rank(found)]


def test_what_both_searches_find_beats_what_one_finds_higher() -> None:
    assert order(dense=chunks("a1", "b1", "c1"), text=chunks("d1", "b1", "e1"))[0] == "b1"


def test_a_file_with_the_meaning_in_one_chunk_and_the_words_in_another_beats_files_with_one_of_them() -> None:
    fused = order(dense=chunks("a1", "b1", "c1"), text=chunks("d1", "b7", "e1"))
    assert fused[0] in ("b1", "b7")


def test_a_file_found_often_beats_one_found_once_but_only_so_many_chunks_count() -> None:
    assert order(dense=chunks("a1", "b1", "b2", "b3"), text=chunks("c1", "d1"))[0] == "b1"
    few = chunks("a1", "b1", *(f"b{n}" for n in range(2, FILE_CHUNKS + 1)))
    many = chunks("a1", "b1", *(f"b{n}" for n in range(2, 9)))
    score = {r.candidate: r.score for r in rank({"dense": few, "text": []})}
    more = {r.candidate: r.score for r in rank({"dense": many, "text": []})}
    assert more[chunks("b1")[0]] == score[chunks("b1")[0]]


def test_one_search_alone_keeps_its_order_but_for_the_spread() -> None:
    assert order(dense=chunks("a1", "b1", "b2", "b3", "c1")) == ["a1", "b1", "c1", "b2", "b3"]


places = st.lists(st.sampled_from([f"{file}{line}" for file in "abcdef" for line in range(1, 6)]), unique=True)


@given(places, places)
def test_every_candidate_comes_once_with_reasons_that_add_up_and_best_of_each_file_first(
    dense: list[str], text: list[str]
) -> None:
    ranked = rank({"dense": chunks(*dense), "text": chunks(*text)})
    found = [f"{r.candidate.path}{r.candidate.line}" for r in ranked]
    assert sorted(found) == sorted({*dense, *text})
    for one in ranked:
        assert one.score == sum(worth for _, worth in one.reasons)
        assert len({name for name, _ in one.reasons}) == len(one.reasons)
    files = len({r.candidate.path for r in ranked})
    for page in ranked[:files], ranked[files:]:
        assert [r.score for r in page] == sorted((r.score for r in page), reverse=True)
    assert len({r.candidate.path for r in ranked[:files]}) == files
    # The order in which chunks were stored must not show: an index grown file by file answers like a new one.
    assert [r.candidate for r in rank({"text": chunks(*text), "dense": chunks(*dense)})] == [
        r.candidate for r in ranked
    ]
