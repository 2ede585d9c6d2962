"""What a list of sources may say, and that what stands in a URL for git alone is said to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesearch.errors import UsageError
from codesearch.fleet.failures import short
from codesearch.fleet.sources import Source, sources


@pytest.mark.parametrize(
    ("url", "name", "owner"),
    [
        ("https://github.com/acme/shop.git", "github.com/acme/shop", "acme"),
        ("https://user:token@git.acme.io:8443/tools/ci/runner/", "git.acme.io/tools/ci/runner", "tools/ci"),
        ("git@github.com:acme/shop.git", "github.com/acme/shop", "acme"),
        ("ssh://git@host/acme/shop", "host/acme/shop", "host/acme"),
        ("file:///srv/git/shop.git", "srv/git/shop", "srv/git"),
    ],
)
def test_a_url_is_called_by_its_host_and_path(url: str, name: str, owner: str) -> None:
    (source,) = sources([url])
    assert (source.url, source.name, source.owner) == (url, name, owner)
    assert "token" not in repr(source)


def test_a_list_says_more_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "acme/my shop").mkdir(parents=True)
    file = tmp_path / "list"
    file.write_text(
        "# ours\n\nhttps://host/a/b revision=v2 visibility=public  # the old one\n"
        f"'{tmp_path}/acme/my shop' name=acme/shop\n"
    )
    assert sources([str(file)], "internal") == [
        Source("https://host/a/b", "host/a/b", "v2", "public"),
        Source(str(tmp_path / "acme/my shop"), "acme/shop", "HEAD", "internal"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ext::sh -c 'touch /tmp/x'", "1: -c says nothing|neither a folder"),
        ("ext::touch", "neither a folder nor the URL"),
        ("--upload-pack=touch", "neither a folder nor the URL"),
        ("https://host/a/b colour=red", "colour=red says nothing"),
        ("https://host/a/b revision=-x", "can not be a name"),
        ("https://host/a/b name=o'brien", "No closing quotation"),
        ("https://host/a/b 'name=o\"brien'", "can not be a name"),
        ("https://host/a/b\nhttps://u:p@host/a/b.git", "both called host/a/b"),
        ("nowhere", "neither a folder"),
    ],
)
def test_what_makes_no_sense_is_said_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text(f"{line}\n")
    with pytest.raises(UsageError, match=said) as error:
        sources([str(file)])
    assert f"{file}:" in str(error.value)
    assert "u:p" not in str(error.value)


def test_users_and_tokens_are_said_to_nobody() -> None:
    said = "fatal: unable to access 'https://user:t0ken@host/a/b.git/': 403\nhint: more"
    assert short(said) == "fatal: unable to access 'https://host/a/b.git/': 403"
