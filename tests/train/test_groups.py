"""Groups of documents, and one step of Revela and contrast together."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from revela_train import lm, tokenizer  # noqa: E402
from revela_train.corpus import Ragged  # noqa: E402
from revela_train.groups import GroupConfig, GroupSampler, Library, Words, only  # noqa: E402
from revela_train.joint import Balance, heard, revela_loss, weights_of  # noqa: E402
from revela_train.retriever import StaticRetriever  # noqa: E402

CLUSTERS, EACH, PIECES = 12, 5, 60
CONFIG = GroupConfig(documents=10, clusters=3, distractors=2, longest=12)


@pytest.fixture
def shelf() -> Library:
    """Twelve files of one repository; the first and the second belong together, document 0 is like document 30."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, PIECES, rng.integers(6, 30)).astype(np.uint16) for _ in range(CLUSTERS * EACH)]
    cluster = np.repeat(np.arange(CLUSTERS), EACH)
    ragged = Ragged.of(texts)
    every = np.arange(len(texts))
    body = np.ones(len(texts), np.bool_)
    return Library(ragged, ragged, cluster, np.zeros(len(texts), np.int64), every, body, {0: [1]}, {0: [30]})


def test_a_group_is_a_few_files_with_several_documents_and_distractors(shelf: Library) -> None:
    sampler = GroupSampler(shelf, CONFIG)
    kin = near = 0
    for step in range(200):
        group = sampler(step)
        assert len(group.rows) == len(set(group.rows.tolist())) == CONFIG.documents
        named, counts = np.unique(shelf.cluster[group.rows], return_counts=True)
        assert np.sort(counts)[-CONFIG.clusters :].sum() >= CONFIG.documents - CONFIG.distractors
        assert len(named) <= CONFIG.clusters + CONFIG.distractors
        assert group.ids.shape[1] <= CONFIG.longest
        assert (group.mask.sum(1) >= CONFIG.shortest).all()
        kin += {0, 1} <= {int(n) for n, c in zip(named, counts, strict=True) if c > 1}
        near += {0, 30} <= set(group.rows.tolist())
    assert kin > 10, "files that belong together meet more often than by chance (about six times)"
    assert near > 5, "the likeliest mistake of a document is among its distractors"


def test_the_same_step_gives_the_same_group_and_another_gives_another(shelf: Library) -> None:
    one, again, other = GroupSampler(shelf, CONFIG)(3), GroupSampler(shelf, CONFIG)(3), GroupSampler(shelf, CONFIG)(4)
    assert one.rows.tolist() == again.rows.tolist() != other.rows.tolist()
    assert torch.equal(one.ids, again.ids)


def test_nothing_to_draw_from_gives_no_groups(shelf: Library) -> None:
    """As where a repository has so few files that none is left out to be measured on."""
    assert len(GroupSampler(only(shelf, np.zeros(len(shelf.cluster), np.bool_)), CONFIG)) == 0


def test_what_is_asked_for_with_words_is_code_and_has_a_loss_on_its_code_alone(shelf: Library) -> None:
    rng = np.random.default_rng(1)
    texts = len(shelf.cluster)
    said = Ragged.of([rng.integers(1, PIECES, rng.integers(1, 9)).astype(np.uint16) for _ in range(texts)])
    code = np.arange(texts) % 2 == 1
    sampler = GroupSampler(replace(shelf, code=code, words=Words(said, said)), replace(CONFIG, asked=True, words=4))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        retriever = StaticRetriever(PIECES, 8)
    for step in range(50):
        group = sampler(step)
        assert code[group.rows].all()
        assert group.ids.shape[1] <= CONFIG.longest
        assert group.queries is not None and group.counted is not None
        for i, row in enumerate(group.rows.tolist()):
            first = said[row][:4].tolist()
            assert group.ids[i, : len(first)].tolist() == first, "the LM reads the words first"
            assert group.counted[i].tolist() == [0] * len(first) + group.mask[i, len(first) :].tolist()
            body = group.ids[i][group.counted[i].bool()].tolist()
            assert str(body)[1:-1] in str(shelf.tokens[row].tolist()), "then the code, in one stretch"
    asked, itself = (weights_of(retriever.bags, one, 0.1) for one in (group, replace(group, queries=None)))
    assert not torch.allclose(asked, itself)


def test_revela_gets_its_share_of_the_gradient_and_the_lm_learns_from_its_own_loss(shelf: Library) -> None:
    embedded = lm.create(0, tokenizer.train(["a b c d e f g h"] * 20, PIECES + 10))
    embedded.tokenizer.add_tokens([f"t{i}" for i in range(PIECES)])
    retriever = StaticRetriever(PIECES, 16)
    group = GroupSampler(shelf, CONFIG)(0)
    group = replace(group, tokens=replace(group.tokens, values=group.tokens.values % embedded.lm.config.vocab_size))
    own, of_lm = [retriever.vectors], list(embedded.parameters())
    balance = Balance(0.3)
    pairs = (retriever.vectors**2).sum()
    revela = revela_loss(retriever.bags, embedded, group, 0.1)
    plain = torch.autograd.grad(revela, of_lm, retain_graph=True, allow_unused=True)
    balance(own, of_lm, pairs, revela)
    assert balance.share == pytest.approx(0.3)
    assert retriever.vectors.grad is not None
    of_pairs = 2 * retriever.vectors.detach()
    of_revela = (retriever.vectors.grad - of_pairs).norm()
    assert float(of_revela / (of_revela + of_pairs.norm())) == pytest.approx(0.3, abs=1e-4)
    for parameter, gradient in zip(of_lm, plain, strict=True):
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient)


def test_what_is_heard_of_unseen_documents_is_what_each_weighing_gives(shelf: Library) -> None:
    """An untrained LM hears nothing: no weighing helps it much, and the best single document helps most."""
    embedded = lm.create(0, tokenizer.train(["a b c d e f g h"] * 20, PIECES + 10))
    retriever = StaticRetriever(PIECES, 16)
    group = GroupSampler(shelf, CONFIG)(0)
    group = replace(group, tokens=replace(group.tokens, values=group.tokens.values % embedded.lm.config.vocab_size))
    found = heard(partial(weights_of, retriever.bags, temperature=0.1), embedded, [group])
    assert found.best <= min(found.uniform, found.shuffled)
    assert found.none > 0
