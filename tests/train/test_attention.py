"""Revela as published: in-batch attention against a slow double, and what holds of it and of the objective.

The authors' own numbers are met in test_reference.py.
"""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch import Tensor  # noqa: E402
from transformers import (  # noqa: E402
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from codesearch.errors import UsageError  # noqa: E402
from revela_train.attention import attend, in_batch_attention, open_to_others, read  # noqa: E402
from revela_train.config import CODE, WIKIPEDIA, RevelaConfig  # noqa: E402
from revela_train.objective import info_nce  # noqa: E402
from revela_train.revela import (  # noqa: E402
    document_weights,
    losses,
    similarities,
)
from tests.train.slow_attention import slow_attention  # noqa: E402

WARM = RevelaConfig(temperature=0.1)
WARM_V_NORM = RevelaConfig(temperature=0.1, v_norm=True)

SHAPE = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}


def llama() -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()


def qwen2() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(**SHAPE)).eval()


def opened(lm: PreTrainedModel) -> PreTrainedModel:
    open_to_others(lm)
    return lm


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Similarities, token ids and mask of four documents of 7, 9, 4 and 6 tokens."""
    torch.manual_seed(1)
    lengths = torch.tensor([7, 9, 4, 6])
    mask = (torch.arange(9) < lengths[:, None]).long()
    return torch.rand(4, 4, dtype=dtype), torch.randint(1, 50, (4, 9)) * mask, mask


@pytest.mark.parametrize("v_norm", [False, True])
@pytest.mark.parametrize("shared", [4, 2, 1])
def test_in_batch_attention_and_its_gradients_equal_the_equations_written_out(shared: int, v_norm: bool) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(3, heads, 5, 6, dtype=torch.float64) for heads in (4, shared, shared)]
    tensors.append(torch.rand(3, 3, dtype=torch.float64))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]])
    found = []
    for attention in (in_batch_attention, slow_attention):
        query, key, value, weights = (t.clone().requires_grad_() for t in tensors)
        heard = attention(query, key, value, mask, weights, scaling=0.4, v_norm=v_norm)
        found.append([heard, *torch.autograd.grad(heard.sin().sum(), (query, key, value, weights))])
    for ours, slow in zip(*found, strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [llama, qwen2])
@pytest.mark.parametrize("padded", [False, True])
def test_an_open_lm_that_looks_at_nobody_is_the_stock_lm_bit_for_bit(make, padded: bool) -> None:
    _, ids, mask = batch()
    if not padded:
        ids, mask = ids[:, :4], mask[:, :4]
    results = []
    for lm in (make(), opened(make())):
        output = lm(input_ids=ids, attention_mask=mask, labels=ids)
        output.loss.backward()
        written = lm.generate(ids[:, :3], max_new_tokens=5, do_sample=False, pad_token_id=0)
        results.append([output.logits, written, *(p.grad for p in lm.parameters())])
    lm = opened(make())
    reading, documents = read(lm, ids, mask)
    assert torch.equal(reading.logits, results[0][0]), "pass 1 is the stock model"
    assert torch.equal(attend(lm, documents, torch.zeros(4, 4)).logits, results[0][0]), "so is pass 2 without weights"
    assert torch.equal(lm.lm_head(reading.states), reading.logits)
    assert all(torch.equal(stock, ours) for stock, ours in zip(*results, strict=True))


@pytest.mark.parametrize("make", [llama, qwen2])
@pytest.mark.parametrize("config", [WARM, WARM_V_NORM])
def test_gradients_flow_through_both_passes_to_the_lm_and_to_the_similarities(make, config: RevelaConfig) -> None:
    """The loss rises along the gradient as steeply as it says: a pass or a factor left out would change that."""
    scores, ids, mask = batch(torch.float64)
    lm = opened(make()).double()
    scores.requires_grad_()
    losses(scores, lm, ids, mask, config).total.backward()
    assert scores.grad.abs().max() > 1e-4
    for variables in ([scores], list(lm.parameters())):
        start = [v.detach().clone() for v in variables]
        slope = sum(v.grad.square().sum() for v in variables).sqrt()
        ways = [v.grad / slope for v in variables]
        ends = []
        with torch.no_grad():
            for step in (1e-3, -1e-3):
                for v, at, way in zip(variables, start, ways, strict=True):
                    v.copy_(at + step * way)
                ends.append(losses(scores, lm, ids, mask, config).total)
            for v, at in zip(variables, start, strict=True):
                v.copy_(at)
        torch.testing.assert_close(slope.float(), (ends[0] - ends[1]) / 2e-3, rtol=3e-3, atol=3e-4)


def test_gradient_checkpointing_changes_nothing() -> None:
    scores, ids, mask = batch()
    gradients = []
    for checkpointing in (False, True):
        lm = opened(llama()).train()
        if checkpointing:
            lm.activation_checkpointing_enable()
        s = scores.clone().requires_grad_()
        losses(s, lm, ids, mask, WARM).total.backward()
        gradients.append([s.grad, *(p.grad for p in lm.parameters())])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_all_of_another_document_is_seen_and_nothing_of_ones_own_future() -> None:
    _, ids, mask = batch()
    lm = opened(llama())
    weights = torch.zeros(4, 4)
    weights[0, 1] = 1

    def logits(document: int, position: int) -> Tensor:
        changed = ids.clone()
        changed[document, position] = changed[document, position] % 49 + 1
        return attend(lm, read(lm, changed, mask)[1], weights).logits[0]

    before = attend(lm, read(lm, ids, mask)[1], weights).logits[0]
    assert not torch.allclose(logits(1, 8)[0], before[0]), "the last token of another, at the first of one's own"
    assert torch.equal(logits(0, 6)[:6], before[:6]), "one's own last token, before it"
    assert torch.equal(logits(2, 3), before), "a document of weight zero"


@pytest.mark.parametrize("config", [WARM, WARM_V_NORM])
def test_padding_and_the_order_of_documents_do_not_matter(config: RevelaConfig) -> None:
    scores, ids, mask = batch(torch.float64)
    lm = opened(llama()).double()

    def found(scores: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = scores.clone().requires_grad_()
        result = losses(scores, lm, ids, mask, config)
        result.total.backward()
        return result.in_batch.detach(), result.alone, scores.grad

    plain = found(scores, ids, mask)
    assert abs(plain[0] - plain[1]) > 1e-4, "the others are heard"
    wider = torch.nn.functional.pad(ids, (0, 5), value=7), torch.nn.functional.pad(mask, (0, 5))
    torch.testing.assert_close(found(scores, *wider), plain, rtol=1e-5, atol=1e-6)
    order = torch.tensor([2, 0, 3, 1])
    moved = found(scores[order][:, order], ids[order], mask[order])
    torch.testing.assert_close(moved, (plain[0], plain[1], plain[2][order][:, order]), rtol=1e-5, atol=1e-6)


def test_a_document_can_not_be_heard_above_unit_length_with_v_normalisation() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 4, 5, 8), torch.randn(3, 2, 5, 8), 100 * torch.randn(3, 2, 5, 8)
    mask, one = torch.ones(3, 5), torch.eye(3)
    heard = [
        in_batch_attention(query, key, value, mask, one, scaling=1.0, v_norm=v).norm(dim=-1) for v in (True, False)
    ]
    assert heard[0].max() <= 1 < heard[1].max()


@pytest.mark.parametrize("temperature", [1e-4, 0.1, 10.0])
def test_weights_are_shares_of_the_other_documents(temperature: float) -> None:
    weights = document_weights(torch.rand(6, 6, dtype=torch.bfloat16), temperature)
    assert weights.dtype == torch.float32
    assert torch.equal(weights.diagonal(), torch.zeros(6))
    torch.testing.assert_close(weights.sum(1), torch.ones(6))
    with pytest.raises(ValueError, match="two documents"):
        document_weights(torch.ones(1, 1), temperature)


def test_similarities_are_cosines_in_float32_even_under_autocast() -> None:
    torch.manual_seed(0)
    queries, passages = torch.randn(5, 64), torch.randn(5, 64)
    exact = torch.nn.functional.cosine_similarity(queries.double()[:, None], passages.double()[None], dim=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = similarities(queries, passages)
    torch.testing.assert_close(scores.double(), exact, atol=1e-6, rtol=0)
    assert not torch.allclose(scores, scores.T), "query and passage are two roles"


def test_pairs_are_told_apart_in_float32_even_under_autocast() -> None:
    torch.manual_seed(0)
    queries, passages = (torch.nn.functional.normalize(torch.randn(8, 64), dim=-1) for _ in range(2))
    exact = info_nce(queries, passages, 0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = info_nce(queries, passages, 0.05)
    torch.testing.assert_close(loss, exact, atol=1e-6, rtol=0)


def test_the_published_choices() -> None:
    assert (CODE.temperature_at(0), CODE.temperature_at(1)) == (1e-4, 1e-4)
    assert (CODE.v_norm, CODE.first_half, CODE.dual) == (False, False, False)
    assert (WIKIPEDIA.v_norm, WIKIPEDIA.first_half, WIKIPEDIA.dual) == (True, True, False)
    annealed = RevelaConfig(temperature=0.1, last_temperature=0.001)
    assert [annealed.temperature_at(p) for p in (0, 0.5, 1)] == pytest.approx([0.1, 0.01, 0.001])


def test_the_dual_loss_adds_the_documents_read_alone() -> None:
    scores, ids, mask = batch()
    lm = opened(llama())
    plain = losses(scores, lm, ids, mask, WARM)
    dual = losses(scores, lm, ids, mask, RevelaConfig(temperature=0.1, dual=True))
    assert torch.equal(plain.total, plain.in_batch)
    assert torch.equal(dual.total, plain.in_batch + plain.alone)
    assert dual.alone.requires_grad and not plain.alone.requires_grad


def test_lms_and_batches_that_can_not_be_read_are_refused() -> None:
    _, ids, mask = batch()
    with pytest.raises(UsageError, match="open_to_others"):
        read(llama(), ids, mask)
    with pytest.raises(UsageError, match="Llama- or Qwen2-like"):
        open_to_others(BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=32, n_layer=1, n_head=2)))
    with pytest.raises(ValueError, match="right"):
        read(opened(llama()), ids.flip(1), mask.flip(1))
    empty = mask.clone()
    empty[2] = 0
    with pytest.raises(ValueError, match="one token"):
        read(opened(llama()), ids, empty)
