"""Pretraining of LM and retriever together: resumed after a kill it has the losses that it would have had."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from revela_train import lm, tokenizer  # noqa: E402
from revela_train.batches import PairSampler  # noqa: E402
from revela_train.config import JointConfig, PretrainConfig  # noqa: E402
from revela_train.corpus import Pieces, Ragged  # noqa: E402
from revela_train.groups import GroupConfig, GroupSampler, files_of, library  # noqa: E402
from revela_train.joint import Balance  # noqa: E402
from revela_train.pretrain_joint import Joint, train  # noqa: E402
from revela_train.retriever import StaticRetriever  # noqa: E402

FILES, EACH, PIECES = 10, 6, 80
PAIRS = PretrainConfig(pieces=PIECES, dimensions=16, batch=16, repositories_a_batch=2)
JOINT = JointConfig(steps=12, alone=0.25, checkpoint_every=4)


@pytest.fixture
def corpus() -> Pieces:
    """Two repositories of ten files with six documented chunks each."""
    rng = np.random.default_rng(0)
    rows = 2 * FILES * EACH

    def texts(low: int, high: int) -> Ragged:
        return Ragged.of([rng.integers(1, PIECES, rng.integers(low, high)).tolist() for _ in range(rows)])

    paths = Ragged.of([[1 + i // EACH % PIECES] for i in range(rows)])
    repository = np.repeat(np.arange(2, dtype=np.int32), FILES * EACH)
    return Pieces(repository, paths, texts(1, 3), texts(5, 9), texts(10, 20), ("one", "two"))


def begun(corpus: Pieces) -> tuple[Joint, PairSampler, GroupSampler]:
    torch.manual_seed(0)
    retriever = StaticRetriever(PIECES, 16)
    embedded = lm.create(0, tokenizer.train([" ".join(f"w{i}" for i in range(PIECES))] * 20, 3 * PIECES))
    run = Joint(retriever, embedded, JOINT, Balance(JOINT.share))
    groups = GroupSampler(
        library(corpus, corpus, np.arange(len(corpus.repository)), files_of(corpus)), GroupConfig(documents=8)
    )
    return run, PairSampler(corpus, PAIRS), groups


def test_a_resumed_run_has_the_losses_of_one_that_was_not_stopped(corpus: Pieces, tmp_path: Path) -> None:
    whole, pairs, groups = begun(corpus)
    assert list(train(whole, pairs, groups, 0.05, tmp_path / "whole")) == list(range(1, 13))
    stopped, *_ = begun(corpus)
    list(islice(train(stopped, pairs, groups, 0.05, tmp_path / "stopped"), 9))
    resumed, *_ = begun(corpus)
    assert list(train(resumed, pairs, groups, 0.05, tmp_path / "stopped")) == [9, 10, 11, 12]
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-6)
    np.testing.assert_allclose(resumed.shares, whole.shares, rtol=1e-6)
    torch.testing.assert_close(resumed.retriever.vectors, whole.retriever.vectors)
    assert len(whole.shares) == 9, "in the first quarter the LM learns alone"
    other = Joint(resumed.retriever, resumed.embedded, JointConfig(steps=5), Balance(0.3))
    with pytest.raises(ValueError, match="another configuration"):
        list(train(other, pairs, groups, 0.05, tmp_path / "stopped"))


def test_the_shipped_lm_reads_a_document_better_beside_one_that_says_the_same() -> None:
    """What makes a gradient for the retriever: seeing the right document lowers the loss, seeing another does less."""
    embedded = lm.load(lm.shipped())
    texts = [
        "def flush_ledger(journal): journal.ledger.flush(); return journal.ledger.balance",
        "ledger = open_ledger(journal); ledger.flush(); assert journal.ledger.balance == 0",
        "class Sprite: def draw(self, canvas): canvas.paint(self.pixels, self.left, self.top)",
    ]
    ids, mask = embedded.tokenise(texts)
    right = torch.tensor([[0.0, 1, 0], [1, 0, 0], [1, 0, 0]])
    wrong = torch.tensor([[0.0, 0, 1], [0, 0, 1], [1, 0, 0]])
    with torch.no_grad():
        by_right = lm.document_losses(embedded, ids, mask, right)
        by_wrong = lm.document_losses(embedded, ids, mask, wrong)
        alone = lm.document_losses(embedded, ids, mask, torch.zeros(3, 3))
    assert (by_right[:2] < by_wrong[:2] - 0.5).all()
    assert (by_right[:2] < alone[:2] - 0.5).all()
