"""What is held out is asked, and stands nowhere that a trainer or an index can see."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from codesearch import bundle
from codesearch.eval.commits import history
from codesearch.eval.docstrings import prose, without
from codesearch.eval.heldout import hold_out, prove
from codesearch.paths import base_bundle
from codesearch.settings import Settings
from codesearch.text import words

ANIMALS = "otter heron badger lynx marten stoat weasel ferret beaver mole shrew vole hare rabbit fox wolf".split()
DEEDS = "feeds washes weighs counts moves names sells paints".split()


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, "-C", str(folder), *arguments], check=True, timeout=60)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Functions that say what they do, each file written by a commit that says so, too."""
    root = tmp_path_factory.mktemp("zoo") / "zoo"
    git(root.parent, "init", "-q", str(root))
    for animal in ANIMALS:
        text = "".join(
            f'def {deed}_it_{n}(store):\n    """Somebody {deed} the {animal} before noon each day."""\n'
            f"    found = store.{animal}s()\n    for one in found:\n        store.{deed}(one, {n})\n"
            "    return found\n\n\n"
            for n, deed in enumerate(DEEDS)
        )
        (root / f"{animal}.py").write_text(text)
        git(root, "add", ".")
        git(root, "commit", "-qm", f"chore: add the file of the {animal}")
        extra = (
            f"\n\ndef late_{animal}(store):\n    kept = store.late()\n    kept.remove({len(animal)})\n    return kept\n"
        )
        (root / f"{animal}.py").write_text(text + extra)
        git(root, "add", ".")
        git(root, "commit", "-qm", f"feat(zoo): let keepers of the {animal} come home late (#12)\n\nCloses: #11")
    return root


def test_what_is_asked_is_nowhere_in_the_copy_nor_in_the_commits(zoo: Path, tmp_path: Path) -> None:
    held = hold_out(zoo, tmp_path / "copy", Settings())
    texts = {path.name: path.read_text() for path in held.folder.glob("*.py")}
    left = " ".join(" ".join(words(text)) for text in texts.values())
    told = " | ".join(" ".join(words(commit.message)) for commit in held.commits)
    asked = (*held.development, *held.test)
    assert {one.origin for one in held.test} == {"documentation", "commit"}
    for one in asked:
        assert one.told.strip() not in left
        assert one.told.strip() not in told
        for path, span in one.places:
            lines = "\n".join(texts[path].splitlines()[span.start_line - 1 : span.end_line])
            assert "def " in lines, "the function stands where it is said to"
            if one.origin == "commit":
                assert f"late_{path.removesuffix('.py')}" in lines, "of a file of nine functions it wrote one"
    assert not {one.sentence for one in held.development} & {one.sentence for one in held.test}
    documented = sum(one.origin == "documentation" for one in asked)
    assert sum(text.count('"""Somebody') for text in texts.values()) == len(ANIMALS) * len(DEEDS) - documented
    assert documented > 40


def test_subjects_are_questions_without_their_labels(zoo: Path) -> None:
    subjects = {commit.subject for commit in history(zoo)}
    assert "let keepers of the otter come home late" in subjects
    assert not any("#" in subject or "feat" in subject for subject in subjects)


def test_the_base_proves_nothing_against_itself(zoo: Path, tmp_path: Path) -> None:
    base = bundle.load(base_bundle())
    held = hold_out(zoo, tmp_path / "copy", Settings())
    proof = prove(held, base, base, tmp_path / "indexes", Settings())
    assert not proof.verdict.accepted
    assert proof.verdict.gain is None or proof.verdict.gain.mean == 0
    assert proof.figures["base, ranked"] == proof.figures["adapted, ranked"] > 0
    alone = prove(held, base, None, tmp_path / "alone", Settings())
    assert set(alone.figures) == {"BM25", "base, alone", "base, ranked"}


@pytest.mark.parametrize(
    ("path", "text", "left"),
    [
        (
            "a.py",
            '#!/usr/bin/env python\n"""File."""\nX = 1  # one\ndef f():\n    """Doc."""\n    return "# no"\n',
            "no",
        ),
        ("a.go", "// Package a.\npackage a\n/* f */\nfunc f() string { // g\n\treturn `// no`\n}\n", "no"),
        ("a.rs", "//! File\n/// Doc\nfn f() -> u8 { /* x /* y */ z */ 1 }\n", "fn"),
        ("a.rb", "# Doc\ndef f\n  1 # one\nend\n", "end"),
    ],
)
def test_every_comment_and_docstring_is_prose_and_nothing_else(path: str, text: str, left: str) -> None:
    rest = without(text.encode(), prose(path, text)).decode()
    assert left in rest
    for said in ("File", "Doc", "one", "// g", "/* f", "Package", "x /*"):
        assert said not in rest
    if text.startswith("#!"):
        assert rest.startswith("#!"), "a first line that names an interpreter is no comment"
