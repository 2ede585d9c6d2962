"""One retriever for the repositories of a store: what is drawn, by whom, and a bundle only if it passes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tokenizers import Tokenizer  # noqa: E402

from codesearch.bundle import TOKENIZER, load  # noqa: E402
from codesearch.errors import UsageError  # noqa: E402
from codesearch.eval.heldout import hold_out  # noqa: E402
from codesearch.fleet.access import Access  # noqa: E402
from codesearch.fleet.commit import Writer  # noqa: E402
from codesearch.fleet.search import Fleet  # noqa: E402
from codesearch.fleet.sources import Source  # noqa: E402
from codesearch.fleet.store import FleetStore  # noqa: E402
from codesearch.paths import base_bundle  # noqa: E402
from codesearch.settings import Settings  # noqa: E402
from revela_train import checkpoint, draws, lm, organisation, stored  # noqa: E402
from revela_train.adapt import from_bundle  # noqa: E402
from revela_train.adaptation import adapt  # noqa: E402
from revela_train.checkpoint import Kept  # noqa: E402
from revela_train.config import AdaptConfig, Objective  # noqa: E402
from revela_train.corpus import chunks_of  # noqa: E402
from revela_train.distributed import ALONE, World  # noqa: E402
from revela_train.documents import material  # noqa: E402
from revela_train.retriever import StaticRetriever  # noqa: E402
from revela_train.shown import of_material  # noqa: E402
from revela_train.stored import Unsaid, files_of  # noqa: E402
from revela_train.tokenizer import of_lm  # noqa: E402
from revela_train.workspace import frequencies  # noqa: E402
from tests.fleet.conftest import commit, filled  # noqa: E402
from tests.fleet.standin import SECRET  # noqa: E402
from tests.index.conftest import FILES  # noqa: E402
from tests.train.test_workspace import DEEDS, THINGS, finish, function  # noqa: E402

CONFIG = AdaptConfig(steps=8, batch=64, groups=2, budget=0, evaluate_every=2, checkpoint_every=2)
NOTHING = Unsaid.of(())


def jargon(folder: Path) -> list[Source]:
    """Three repositories of one house, whose words for things nobody else knows, and a small one of another's."""
    found = []
    for number in range(3):
        things = list(THINGS)[number::3]
        files = {f"{THINGS[thing]}.py": "".join(function(deed, thing) for deed in DEEDS) for thing in things}
        commit(folder / f"part{number}", files)
        found.append(Source(str(folder / f"part{number}"), f"house/part{number}"))
    commit(folder / "shop", FILES)
    return [*found, Source(str(folder / "shop"), "acme/shop")]


@pytest.fixture(scope="module")
def sources(home_of_fixtures: None, tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    return jargon(tmp_path_factory.mktemp("jargon"))


@pytest.fixture(scope="module")
def store(sources: list[Source], tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = str(tmp_path_factory.mktemp("store") / "store")
    filled(uri, sources)
    return uri


def drawn(uri: str, config: AdaptConfig, place: str, says: dict[str, Any] | None = None) -> list[draws.Quota]:
    """Draw from the store at URI to PLACE, without Ray, what SAYS so of itself; return the quotas."""
    opened = FleetStore.open(uri)
    quotas = draws.quotas(opened.entries()[0], config)
    tables = (draws.drawn(uri, opened.version, quota, config, NOTHING) for quota in quotas)
    assert not any(draws.write(place, tables, (says or {}) | {"chunks": 250}).values())
    return quotas


def test_a_store_gives_the_files_the_chunks_and_the_groups_of_a_folder(sources: list[Source], store: str) -> None:
    config = replace(CONFIG, batch=draws.PAIRS)
    pieces, tokens = Tokenizer.from_file(str(base_bundle() / TOKENIZER)), of_lm()
    for source in sources:
        files = list(files_of(FleetStore.open(store), source.name))
        assert files
        for file in files:
            assert file.text.rstrip("\n") == Path(source.url, file.path).read_text().rstrip("\n")
        folder = list(chain.from_iterable(chunks_of(Path(source.url))))
        chunks = sorted(NOTHING.chunks(files), key=lambda one: one.path)
        assert chunks == sorted(folder, key=lambda one: one.path)
    quota = draws.Quota(sources[0].name, 0, 2, 3, 0)
    table = draws.drawn(store, FleetStore.open(store).version, quota, config, NOTHING)
    rows = {(row["kind"], row["number"]): row for row in table.to_pylist()}
    root = Path(sources[0].url)
    ordered = sorted(chain.from_iterable(chunks_of(root)), key=lambda one: one.path)
    shown = of_material(material(ordered, pieces, tokens), config)
    assert shown.groups is not None and shown.pairs is not None
    for number in range(quota.groups):
        group, row = shown.groups(number), rows["group", number]
        assert row["tokens"] == [one.tolist() for one in group.tokens]
        assert row["passages"] == [one.tolist() for one in group.bags.rows()]
        assert group.queries is not None and row["queries"] == [one.tolist() for one in group.queries.rows()]
    for number in range(quota.pairs):
        batch = shown.pairs(number)
        assert rows["pairs", number]["rows"] == batch.body.tolist()
        assert rows["pairs", number]["queries"] == [one.tolist() for one in batch.queries.rows()]


def test_a_file_that_was_not_parsed_is_not_parsed_again_and_a_path_leads_nowhere_else(tmp_path: Path) -> None:
    class Hostile(FleetStore):
        def __init__(self) -> None:
            pass

        def code(self, repository: str) -> pa.Table:
            names = ["path", "start_line", "end_line", "symbol", "text"]
            rows = [
                ("cut.py", 3, 4, "", "    return 1\n"),
                ("cut.py", 1, 2, "", "def late():\n    '''Kills.'''"),
                ("../out.py", 1, 1, "", "x = 1"),
                ("/abs.py", 1, 1, "", "x = 1"),
            ]
            return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])

    assert stored.restore(Hostile(), "acme/any", tmp_path / "code") == ["../out.py", "/abs.py"]
    assert len(stored.restore(Hostile(), "..", tmp_path / "code")) == 3
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.py")] == ["code/acme+any/cut.py"]
    (cut,) = (file for file in files_of(Hostile(), "any") if file.path == "cut.py")
    assert cut.text == "def late():\n    '''Kills.'''\n    return 1\n\n" and not cut.parsed
    assert {chunk.symbol for chunk in NOTHING.chunks([cut])} == {""}


def test_what_is_asked_is_said_nowhere_not_in_a_copy_nor_behind_markup(sources: list[Source], tmp_path: Path) -> None:
    held = hold_out(Path(sources[0].url), tmp_path / "copy", Settings())
    asked = (*held.development, *held.test)
    unsaid = Unsaid.of(asked)
    assert len(asked) >= 20 and len(unsaid.told) == len({one.told for one in asked})
    marked = "".join(
        f'def copy_{i}(a):\n    """{one.sentence.replace("the", ":ref:`the <that>`", 1)}"""\n    b = a\n    c = b\n'
        "    d = c\n    return d\n\n\n"
        for i, one in enumerate(asked)
    )
    fork = "".join(file.read_text() for file in sorted(Path(sources[0].url).glob("*.py")))
    notes = f"# Notes\n\nWhat it does: {asked[0].sentence}\n"
    files = [("fork.py", fork), ("marked.py", marked), ("NOTES.md", notes)]
    chunks = list(unsaid.chunks(stored.StoredFile(path, text, True) for path, text in files))
    assert {chunk.path for chunk in chunks} == {"fork.py", "marked.py"}
    documents = [f" {' '.join(one.doc.lower().replace('.', ' ').split())} " for one in chunks]
    assert len(chunks) >= 2 * len(asked), "the code itself stays"
    assert not any(told in document for told in unsaid.told for document in documents)
    assert not any(one.doc for one in chunks if one.path == "marked.py")


def test_draws_are_as_many_as_a_run_takes_and_each_process_has_its_part(store: str, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=40)
    quotas = drawn(store, config, str(tmp_path))
    assert sum(one.pairs for one in quotas) == 40 * config.batch // draws.PAIRS
    assert sum(one.groups for one in quotas) == 20 * config.groups
    whole = draws.shown(str(tmp_path), config, ALONE)
    parts = [draws.shown(str(tmp_path), config, World(rank, 2)) for rank in range(2)]
    assert whole.pairs is not None and whole.groups is not None

    def bodies(shown: draws.Shown, steps: range) -> list[list[int]]:
        assert shown.pairs is not None
        return [shown.pairs(step).body.tolist() for step in steps]

    epoch = range(80)
    for both, *its in zip(bodies(whole, epoch), *(bodies(part, epoch) for part in parts), strict=True):
        assert Counter(both) == Counter(chain(*its)) and len(its[0]) == len(its[1]) == config.batch // 2
    for step in range(0, 40, 2):
        for number in range(2):
            mine = parts[number].groups
            assert mine is not None
            one, other = whole.groups(2 * step + number), mine(2 * step + number)
            assert one.tokens.values.tolist() == other.tokens.values.tolist()
    chunks = [body for step in bodies(whole, epoch) for body in step]
    count = draws.PAIRS * sum(one.pairs for one in quotas if one.repository != "acme/shop")  # it is too small
    first, second = chunks[:count], chunks[count : 2 * count]
    assert Counter(first) == Counter(second) and first != second, "the next epoch has another order"
    with pytest.raises(UsageError, match="3 processes can not share 2 groups"):
        draws.shown(str(tmp_path), config, World(0, 3))


def small() -> tuple[StaticRetriever, torch.Tensor]:
    """A base of a few dimensions, and how often its pieces occurred."""
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(base_bundle() / TOKENIZER))
    retriever = StaticRetriever(tokenizer.get_vocab_size(), 8)
    return retriever, torch.ones(len(retriever.vectors))


def run(place: str, config: AdaptConfig, us: World = ALONE, kept: Kept | None = None) -> Iterator[Any]:
    shown = draws.shown(place, config, us)
    return adapt(*small(), shown, lm.load(lm.shipped()), None, config, us, kept)


def test_a_run_that_was_killed_goes_on_elsewhere_from_its_checkpoint_on_s3(
    store: str, tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    work = "s3://fleet/training"
    drawn(store, CONFIG, work)
    whole = finish(run(work, CONFIG))[1]
    for event in run(work, CONFIG, kept=Kept(tmp_path / "here", work)):
        if event.steps == 6:  # before what it has done since step 4 is kept
            break
    events, resumed = finish(run(work, CONFIG, kept=Kept(tmp_path / "elsewhere", work)))
    assert [event.steps for event in events] == [6, 8]
    assert resumed.history == whole.history
    assert resumed.shares == whole.shares and resumed.steps == whole.steps == 8
    assert torch.equal(resumed.retriever.vectors, whole.retriever.vectors)
    with pytest.raises(UsageError, match="another configuration"):
        finish(run(work, replace(CONFIG, seed=1), kept=Kept(tmp_path / "third", work)))


def test_ray_draws_two_processes_learn_what_one_learns_and_what_passes_indexes_a_store(
    sources: list[Source], cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it on S3: the store, the draws, and the checkpoint, which says what the losses were."""
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    uri, work, out, config = "s3://fleet/jargon", "s3://fleet/work", tmp_path / "bundle", replace(CONFIG, steps=6)
    filled(uri, sources)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "revela_train.cli", "organisation", uri, "--owner", "house", "--out", str(out)]
    command += ["--work", work, "--steps", str(config.steps), "--groups", str(config.groups)]
    done = subprocess.run(command, env=cluster, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "drawing from 3 repositories" in done.stderr, "the other owner's is not learnt from"
    assert done.stdout.count("questions; it finds held-out functions better") == 1, "the first process says it"
    bundle = load(out)
    assert bundle.description.adapted and bundle.description.provenance["processes"] == 2
    writer = Writer.open(str(tmp_path / "new"), bundle)
    assert Fleet(writer.uri, Access())._encoder.fingerprint == bundle.fingerprint, "the store brings its model"
    for secret in SECRET:
        assert not any(secret.encode() in file.read_bytes() for file in out.iterdir())
        assert secret not in done.stdout + done.stderr

    assert checkpoint.fetch(tmp_path / "checkpoint", work)
    told = json.loads((tmp_path / "checkpoint" / "run.json").read_text())
    base = from_bundle(load(base_bundle()))
    config = AdaptConfig(**{**told["config"], "careful_rate": told["config"]["rate"]})
    shown = draws.shown(work, config, ALONE)
    alone = finish(adapt(base, frequencies(), shown, lm.load(lm.shipped()), None, config))[1]
    assert len(alone.history) == len(told["history"]) == config.steps
    for step, (one, other) in enumerate(zip(told["history"], alone.history, strict=True)):
        assert (one[0] is None) == (other[0] is None) == (step % 2 == 1)
        for of_process, of_two in zip(filter(None, other), filter(None, one), strict=True):
            assert of_two == pytest.approx(of_process, rel=2e-4)
    assert told["shares"] == pytest.approx(alone.shares, rel=1e-3)


def test_there_is_a_bundle_only_if_it_passes_and_a_place_is_one_runs(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organisation, "cluster", nullcontext)
    monkeypatch.setattr(organisation.draws, "draw", lambda *_: pytest.fail("it is drawn already"))
    work, out = str(tmp_path / "work"), tmp_path / "bundle"
    config = replace(CONFIG, objective=Objective.PAIRS, steps=1, rate=1e-9)
    says = {"store": store, "owners": ["house"], "config": asdict(config), "version": FleetStore.open(store).version}
    says |= {"unsaid": ""}
    drawn(store, config, work, says=says)
    with pytest.raises(UsageError, match="no longer is what"):
        finish(organisation.train(store, ["house"], config, out, work, ALONE))
    code = tmp_path / "code"
    for number in range(3):
        stored.restore(FleetStore.open(store), f"house/part{number}", code)
    held = hold_out(code, tmp_path / "copy", Settings())
    says["unsaid"] = Unsaid.of((*held.development, *held.test)).digest
    drawn(store, config, work, says=says)
    _, done = finish(organisation.train(store, ["house"], config, out, work, ALONE))
    assert done is not None and not done.proof.verdict.accepted and done.proof.verdict.questions >= 50
    assert done.bundle is None and not out.exists()
    for other, owners in ((replace(config, seed=1), ["house"]), (config, [])):
        with pytest.raises(UsageError, match="holds another run"):
            finish(organisation.train(store, owners, other, out, work, ALONE))
    drawn(store, config, str(tmp_path / "old"), says=says | {"version": 999})
    with pytest.raises(UsageError, match="no longer is what"):
        finish(organisation.train(store, ["house"], config, out, str(tmp_path / "old"), ALONE))
    with pytest.raises(UsageError, match="Index more repositories"):
        finish(organisation.train(store, ["acme"], config, out, str(tmp_path / "acme"), ALONE))
    with pytest.raises(UsageError, match="nothing of nobody"):
        finish(organisation.train(store, ["nobody"], config, out, str(tmp_path / "nobody"), ALONE))
    out.mkdir()
    with pytest.raises(UsageError, match="there already"):
        finish(organisation.train(store, ["house"], config, out, work, ALONE))
