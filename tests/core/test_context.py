import pytest
import torch

from controlnet.core.context import Context
from controlnet.errors import ShapeError


def some(n: int = 3) -> Context:
    return Context(
        torch.arange(n * 8.0).view(n, 2, 4), torch.randn(n, 5), torch.full((n, 6), 1023.0), torch.arange(n)
    )


def test_plain_tokens_are_a_context():
    tokens = torch.randn(2, 7, 3)
    assert Context.of(tokens).tokens is tokens
    assert Context.of(Context(tokens)).batch == 2


@pytest.mark.parametrize("index", [1, slice(1, 2), torch.tensor([1])])
def test_choosing_keeps_the_batch_dimension(index):
    chosen = some()[index]
    assert torch.equal(chosen.tokens, some().tokens[1:2])
    assert chosen.class_labels.tolist() == [1] and chosen.time_ids.shape == (1, 6)


def test_the_last_sample_is_one_sample():
    assert some()[-1].class_labels.tolist() == [2]


def test_repeats_samples_side_by_side():
    assert some().expand(2).class_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_joins_along_the_batch():
    both = Context.cat([some(1), some(2)])
    assert both.batch == 3 and both.text_embeds.shape == (3, 5)
    assert Context.cat([Context(torch.ones(1, 2, 3))] * 2).text_embeds is None


def test_contexts_of_two_kinds_do_not_join():
    with pytest.raises(ShapeError, match="1 of 2 contexts have text_embeds"):
        Context.cat([some(), Context(some().tokens)])
    with pytest.raises(ShapeError, match="at least one"):
        Context.cat([])


def test_half_precision_does_not_round_the_sizes():
    moved = some().to("cpu", torch.bfloat16)
    assert moved.tokens.dtype == moved.text_embeds.dtype == torch.bfloat16
    assert moved.time_ids.dtype == torch.float32 and moved.class_labels.dtype == torch.int64
