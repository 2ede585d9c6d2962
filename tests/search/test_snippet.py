"""Which lines of a hit are shown."""

from codesearch.snippet import Mark, snippet

SOURCE = """def load(path):
    \"\"\"Read settings.\"\"\"
    data = path.read_bytes()

    if not data:
        raise EmptyError(path)

    return parse_toml(data)
"""


def test_a_short_hit_is_shown_whole_with_its_own_line_numbers() -> None:
    shown = snippet(SOURCE, 41, "anything", 20)
    assert shown.start_line == 41
    assert list(shown.lines) == SOURCE.splitlines()


def test_the_window_is_where_most_of_the_terms_are_and_has_no_blank_ends() -> None:
    shown = snippet(SOURCE, 1, "raise an error for empty", 3)
    assert (shown.start_line, shown.lines) == (5, ("    if not data:", "        raise EmptyError(path)"))


def test_without_a_matching_line_the_beginning_is_shown() -> None:
    assert snippet(SOURCE, 7, "zeppelin", 2).start_line == 7


def test_marks_are_the_identifiers_that_hold_a_term_of_the_question() -> None:
    shown = snippet(SOURCE, 1, "parsing", 20)
    assert shown.marks == (Mark(8, 11, 21),)
    assert shown.lines[7][11:21] == "parse_toml"


def test_lines_are_counted_as_git_counts_them() -> None:
    assert snippet("a\x0cb\u2028c\r\nzeppelin\r\n", 1, "zeppelin", 1).start_line == 2
    assert snippet("", 1, "a", 5).lines == ()
