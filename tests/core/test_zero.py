import pytest
import torch

from controlnet.core.zero import zero_conv, zero_linear

MAP, TOKENS = (2, 3, 5, 4), (2, 6, 3)


@pytest.mark.parametrize(("layer", "shape"), [(zero_conv, MAP), (zero_linear, TOKENS)])
def test_gives_zero_whatever_goes_in(layer, shape):
    assert not layer(3, 7)(torch.randn(shape)).any()


def test_gradients_are_those_of_the_paper():
    """∂y/∂w = x, ∂y/∂b = 1 and ∂y/∂x = w = 0."""
    z, x = zero_conv(3, 1), torch.randn(1, 3, 1, 1, requires_grad=True)
    z(x).sum().backward()
    assert torch.equal(z.weight.grad, x.detach())
    assert torch.equal(z.bias.grad, torch.ones(1))
    assert not x.grad.any()


def test_wakes_after_one_step():
    z, x = zero_conv(3, 2), torch.randn(MAP, requires_grad=True)
    optimizer = torch.optim.SGD(z.parameters(), lr=0.1)
    (z(x) - 1).square().mean().backward()
    optimizer.step()
    (z(x) - 1).square().mean().backward()
    assert x.grad.any()


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_keeps_the_size_of_the_map(kernel_size):
    assert zero_conv(3, 7, kernel_size=kernel_size)(torch.randn(MAP)).shape == (2, 7, 5, 4)


def test_gaussian_start_keeps_the_scale_of_its_input():
    torch.manual_seed(0)
    out = zero_conv(256, 256, "gaussian")(torch.randn(4, 256, 8, 8))
    assert 0.9 < out.std() < 1.1
