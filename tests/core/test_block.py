import pytest
import torch
from torch import nn

from controlnet.core.block import ControlledBlock


def conv_block() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Dropout(0.5))


def token_block() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


KINDS = {
    "map": (conv_block, (2, 8, 6, 4), (2, 3, 6, 4)),
    "tokens": (token_block, (2, 5, 8), (2, 5, 3)),
}


@pytest.fixture(params=KINDS)
def made(request):
    torch.manual_seed(0)
    make, x_shape, c_shape = KINDS[request.param]
    f = make()
    block = ControlledBlock(f, channels=8, condition_channels=3, layout=request.param)
    return f, block, torch.randn(x_shape), torch.randn(c_shape)


def wake(block: ControlledBlock) -> None:
    for parameter in block.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)


def test_is_the_identity_at_first(made):
    f, block, x, c = made
    assert torch.equal(block(x, c), f(x))


def test_is_exactly_equation_2(made):
    f, block, x, c = made
    wake(block)
    block.eval()
    assert torch.equal(block(x, c), f(x) + block.zero2(block.copy(x + block.zero1(c))))
    assert not torch.equal(block(x, c), f(x))


def test_only_the_copy_and_the_zeros_learn(made):
    f, block, x, c = made
    wake(block)
    before = {name: value.clone() for name, value in f.state_dict().items()}
    block.train()
    optimizer = torch.optim.AdamW(block.parameters())
    block(x, c).square().mean().backward()
    optimizer.step()
    assert all(parameter.grad is None for parameter in f.parameters())
    assert all(torch.equal(value, before[name]) for name, value in f.state_dict().items())
    assert all(
        parameter.grad is not None for part in (block.zero1, block.zero2) for parameter in part.parameters()
    )
    assert not {id(p) for p in f.parameters()} & {id(p) for p in optimizer.state}


def test_the_copy_shares_no_storage(made):
    f, block, *_ = made
    assert not {p.data_ptr() for p in f.parameters()} & {p.data_ptr() for p in block.copy.parameters()}


def test_the_locked_block_stays_in_evaluation_mode(made):
    f, block, *_ = made
    block.train()
    assert block.copy.training
    assert not any(module.training for module in f.modules())


def test_other_arguments_go_to_both():
    class Shifted(nn.Module):
        def forward(self, x, shift):
            return x + shift

    block = ControlledBlock(Shifted(), channels=8)
    wake(block)
    x, c, shift = torch.randn(1, 8, 2, 2), torch.randn(1, 3, 2, 2), torch.randn(1, 8, 1, 1)
    assert torch.equal(block(x, c, shift), x + shift + block.zero2(x + block.zero1(c) + shift))


def test_a_block_may_change_the_number_of_channels():
    block = ControlledBlock(nn.Conv2d(8, 12, 3, stride=2, padding=1), channels=8, out_channels=12)
    assert block(torch.randn(1, 8, 4, 4), torch.randn(1, 3, 4, 4)).shape == (1, 12, 2, 2)
