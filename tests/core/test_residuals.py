import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from controlnet.core.residuals import Residuals
from controlnet.errors import ShapeError

SHAPES = [(2, 3, 8, 6), (2, 5, 4, 3), (2, 12, 7), (2, 5, 2, 1)]


def some(seed: int = 0) -> Residuals:
    generator = torch.Generator().manual_seed(seed)
    return Residuals(tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES))


def same(a: Residuals, b: Residuals) -> bool:
    return len(a) == len(b) and all(torch.allclose(x, y) for x, y in zip(a, b, strict=True))


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 5), st.integers(0, 5))
def test_is_a_vector_space(a, b, i, j):
    u, v = some(i), some(j)
    assert same(u + v, v + u)
    assert same(a * (u + v), u * a + v * a)
    assert same(u * (a + b), u * a + u * b)
    assert same((u - u) + v, v)
    assert same(Residuals.sum([u, v, u]), u * 2 + v)


def test_reads_like_a_sequence():
    r = some()
    assert len(r) == 4 and [tuple(t.shape) for t in r] == SHAPES and torch.equal(r[-1], list(r)[-1])


def test_one_number_for_each_sample():
    r = some() * torch.tensor([0.0, 2.0])
    assert all(not t[0].any() and torch.equal(t[1], 2 * u[1]) for t, u in zip(r, some(), strict=True))


def test_weighs_by_tap():
    r = some().weigh([0.0, 1.0, 2.0, 3.0])
    assert not r[0].any() and torch.equal(r[3], 3 * some()[3])
    assert same(some().weigh(torch.ones(4)), some())


def test_masks_any_size_on_maps_and_tokens():
    mask = torch.zeros(1, 1, 16, 12)
    mask[..., :8, :] = 1  # the upper half
    r, u = some().mask(mask), some()
    assert torch.equal(r[0][:, :, :4], u[0][:, :, :4]) and not r[0][:, :, 4:].any()
    assert torch.equal(r[2][:, :6], u[2][:, :6]) and not r[2][:, 6:].any()  # 4 rows of 3 tokens


def test_a_mask_smaller_than_the_map_and_one_for_each_sample():
    mask = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
    r = Residuals((torch.ones(2, 3, 4, 4),)).mask(mask)
    assert r[0][0].all() and not r[0][1].any()


def test_a_mask_softens_at_its_border():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :3, :] = 1
    assert Residuals((torch.ones(1, 1, 2, 2),)).mask(mask)[0].flatten().tolist() == [1, 1, 0.5, 0.5]


def test_pools_to_the_mean_at_the_same_size():
    r, u = some().pool(), some()
    assert [t.shape for t in r] == [t.shape for t in u]
    assert torch.allclose(r[0][:, :, 2, 3], u[0].mean((2, 3)))
    assert torch.allclose(r[2][:, 4], u[2].mean(1))


def test_moves_detaches_and_joins():
    r = some().to(dtype=torch.float16)
    assert {t.dtype for t in r} == {torch.float16}
    assert not any(t.requires_grad for t in (some() * torch.ones((), requires_grad=True)).detach())
    assert Residuals.cat([some(), some()])[0].shape == (4, 3, 8, 6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda r: r + Residuals(r.tensors[:2]), "4 and 2 taps"),
        (lambda r: r.weigh([1.0] * 13), "13 weights for 4 taps"),
        (lambda r: r.mask(torch.ones(1, 1, 8, 4)), "12 tokens"),
        (lambda r: Residuals.sum([]), "at least one"),
    ],
)
def test_what_does_not_go_together_is_said(wrong, message):
    with pytest.raises(ShapeError, match=message):
        wrong(some())
