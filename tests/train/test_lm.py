"""The embedded LM and its pointer head: against a slow double, alone, and written and read back."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from codesearch.errors import UsageError  # noqa: E402
from revela_train import lm, tokenizer  # noqa: E402
from revela_train.attention import attend, read  # noqa: E402
from revela_train.revela import document_weights  # noqa: E402

TEXTS = ["parse the http request header", "def parseRequest(header): return http(header)", "", "retry retry later"]


@pytest.fixture
def embedded() -> lm.EmbeddedLM:
    """An untrained LM of a few hundred words, its gate moved so that it differs between tokens."""
    made = lm.create(0, tokenizer.train([text.lower() for text in TEXTS] * 20, 120))
    assert made.pointer is not None
    torch.nn.init.normal_(made.pointer.gate.weight, std=0.05)
    return made


def test_pointer_head_is_the_mixture_it_says(embedded: lm.EmbeddedLM) -> None:
    """Token by token, document by document and position by position, the formula gives the same losses."""
    ids, mask = embedded.tokenise(TEXTS)
    weights = document_weights(torch.linspace(-1, 1, 16).view(4, 4), 0.5)
    got = lm.document_losses(embedded, ids, mask, weights)
    head = embedded.pointer
    assert head is not None
    alone, documents = read(embedded.lm, ids, mask)
    reading = attend(embedded.lm, documents, weights)
    for i in range(4):
        losses = []
        for t in range(int(mask[i].sum()) - 1):
            state, token = reading.states[i, t], ids[i, t + 1]
            gate = torch.sigmoid(head.gate(state))[0]
            copied = torch.zeros(())
            for j in range(4):
                positions = range(int(mask[j].sum()) - 1)
                scores = [head.query(state) @ head.key(alone.states[j, s]) / 8 for s in positions]
                shares = torch.stack(scores).softmax(0) if scores else []
                copied = copied + weights[i, j] * sum(
                    a for a, s in zip(shares, positions, strict=True) if ids[j, s + 1] == token
                )
            written = reading.logits[i, t].softmax(-1)[token]
            losses.append(-((1 - gate) * written + gate * copied).log())
        expected = torch.stack(losses).mean() if losses else torch.zeros(())
        torch.testing.assert_close(got[i], expected)


def test_without_documents_nothing_is_copied_and_gradients_are_finite(embedded: lm.EmbeddedLM) -> None:
    """Zero weights give the LM's own loss; what no document holds has a finite loss and gradient all the same."""
    ids, mask = embedded.tokenise(TEXTS)
    none = torch.zeros(4, 4)
    plain = lm.document_losses(embedded, ids, mask, none, pointer=False)
    torch.testing.assert_close(lm.document_losses(embedded, ids, mask, none), plain)
    scores = torch.zeros(4, 4, requires_grad=True)
    lm.document_losses(embedded, ids, mask, document_weights(scores, 0.03)).sum().backward()
    assert scores.grad is not None
    assert scores.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in [scores, *embedded.parameters()])
    kept = torch.zeros_like(mask)
    assert lm.document_losses(embedded, ids, mask, none, loss_mask=kept).eq(0).all()


def test_a_saved_lm_is_the_same_lm(embedded: lm.EmbeddedLM, tmp_path: Path) -> None:
    """Written and read back it has the same losses; a folder without one is refused by name."""
    lm.save(embedded, tmp_path / "lm", {"objective": "none"})
    again = lm.load(tmp_path / "lm")
    ids, mask = embedded.tokenise(TEXTS)
    weights = document_weights(torch.eye(4), 0.1)
    assert torch.equal(
        lm.document_losses(again, *again.tokenise(TEXTS), weights), lm.document_losses(embedded, ids, mask, weights)
    )
    with pytest.raises(UsageError, match="no usable LM"):
        lm.load(tmp_path / "nothing")
