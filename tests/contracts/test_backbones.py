"""What every backbone must do, on each of its small networks; a new one is covered without another line."""

import json
from copy import deepcopy

import pytest
import torch
from torch import nn

from controlnet.core.backbone import backbone_of
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.registry import find, names

CASES = [(name, variant) for name in names("backbones") for variant in find("backbones", name).variants]


@pytest.fixture(params=CASES, ids="-".join)
def made(request):
    name, variant = request.param
    backbone = find("backbones", name)()
    return backbone, backbone.tiny(variant)


def controlled(network, net, tiny):
    residuals = net(tiny.x, tiny.timestep, tiny.context, tiny.condition)
    return denoise(network, tiny.x, tiny.timestep, tiny.context, residuals)


def train(network, net, tiny, steps):
    """Take some steps towards a random target; return the parameters that had a gradient in the last one."""
    target = torch.randn(tiny.x.shape, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        (controlled(network, net, tiny) - target).square().mean().backward()
        moved = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    return moved, optimizer


def test_is_found_from_the_network_itself(made):
    backbone, tiny = made
    assert isinstance(backbone_of(tiny.network), type(backbone))
    assert not backbone.matches(nn.Linear(2, 2))


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_same_seed_makes_the_same_network(name, variant):
    one, same, other = (find("backbones", name)().tiny(variant, seed) for seed in (0, 0, 1))
    assert torch.equal(same.x, one.x) and not torch.equal(other.x, one.x)
    assert all(map(torch.equal, same.network.parameters(), one.network.parameters()))


@pytest.mark.parametrize("hint", ["published", "paper", "unshuffle"])
@pytest.mark.parametrize("copy", ["full", "lite"])
def test_y_c_is_y_bit_for_bit_at_first(made, hint, copy):
    _, tiny = made
    net = ControlNet.from_base(tiny.network, hint=hint, copy=copy)
    y = denoise(tiny.network, tiny.x, tiny.timestep, tiny.context)
    assert torch.equal(controlled(tiny.network, net, tiny), y)


def test_residuals_fit_the_taps(made):
    _, tiny = made
    net = ControlNet.from_base(tiny.network, init="gaussian")
    residuals = net(tiny.x, tiny.timestep, tiny.context, tiny.condition)
    assert len({tap.name for tap in net.taps}) == len(net.taps) == len(residuals)
    for tap, residual in zip(net.taps, residuals, strict=True):
        if tap.layout == "map":
            sides = tuple(side // tap.stride for side in tiny.x.shape[-2:])
            assert tuple(residual.shape) == (tiny.x.shape[0], tap.channels, *sides)
        else:
            assert residual.shape[0] == tiny.x.shape[0] and residual.shape[-1] == tap.channels


def test_every_residual_reaches_the_output(made):
    _, tiny = made
    net = ControlNet.from_base(tiny.network, init="gaussian")
    residuals = net(tiny.x, tiny.timestep, tiny.context, tiny.condition)
    y = denoise(tiny.network, tiny.x, tiny.timestep, tiny.context)
    for index in range(len(net.taps)):
        only = residuals.weigh([float(index == other) for other in range(len(net.taps))])
        assert not torch.allclose(denoise(tiny.network, tiny.x, tiny.timestep, tiny.context, only), y), index


def test_the_base_is_locked_and_stays_as_it_was(made):
    _, tiny = made
    before, config = deepcopy(tiny.network.state_dict()), deepcopy(getattr(tiny.network, "config", None))
    net = ControlNet.from_base(tiny.network)
    _, optimizer = train(tiny.network, net, tiny, steps=2)
    assert all(p.grad is None and not p.requires_grad for p in tiny.network.parameters())
    assert not {id(p) for p in tiny.network.parameters()} & {id(p) for p in optimizer.state}
    assert all(torch.equal(value, before[name]) for name, value in tiny.network.state_dict().items())
    assert getattr(tiny.network, "config", None) == config


def test_the_copy_shares_no_storage_and_starts_as_the_base(made):
    backbone, tiny = made
    clone = backbone.clone(tiny.network)
    own = tiny.network.state_dict()
    assert not {v.data_ptr() for v in own.values()} & {v.data_ptr() for v in clone.state_dict().values()}
    assert all(torch.equal(value, own[name]) for name, value in clone.state_dict().items())
    assert all(p.requires_grad for p in clone.parameters())


def test_parts_wake_in_order(made):
    """Step 0 moves only Z2; step 1 also the copy and the hint's last layer; step 2 all the rest."""
    _, tiny = made
    net = ControlNet.from_base(tiny.network)
    last = f"hint.{len(net.hint) - 1}."
    zero, copy, hint = (
        {n for n, _ in net.named_parameters() if n.startswith(p)} for p in ("zeros", "copy", "hint")
    )
    end = {name for name in hint if name.startswith(last)}

    moved, _ = train(tiny.network, net, tiny, steps=1)
    assert moved == zero
    moved, _ = train(tiny.network, net, tiny, steps=1)
    assert moved == zero | copy | end
    moved, _ = train(tiny.network, net, tiny, steps=1)
    assert moved == zero | copy | hint


def test_it_learns(made):
    _, tiny = made
    torch.manual_seed(0)
    net = ControlNet.from_base(tiny.network, hint="unshuffle")
    target = denoise(tiny.network, tiny.x, tiny.timestep, tiny.context) + 0.1
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = (controlled(tiny.network, net, tiny) - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_network_is_built_again_from_its_description(made):
    backbone, tiny = made
    described = json.loads(json.dumps(backbone.describe(tiny.network)))
    built = backbone.build(described)
    assert all(p.is_meta for p in built.parameters())
    assert backbone.taps(built) == backbone.taps(tiny.network)
    shapes = {name: value.shape for name, value in built.state_dict().items()}
    assert shapes == {name: value.shape for name, value in tiny.network.state_dict().items()}
    assert backbone.describe(built) == backbone.describe(tiny.network) == described


def test_a_blank_copy_is_the_clone_without_its_weights(made):
    backbone, tiny = made
    blank, clone = backbone.blank(backbone.describe(tiny.network)), backbone.clone(tiny.network)
    assert all(p.is_meta and p.requires_grad for p in blank.parameters()) and blank.training
    shapes = [{name: v.shape for name, v in net.state_dict().items()} for net in (blank, clone)]
    assert shapes[0] == shapes[1]
    assert backbone.taps(blank) == backbone.taps(tiny.network)
    lite = [backbone.lite(net).state_dict() for net in (blank, tiny.network)]
    assert {k: v.shape for k, v in lite[0].items()} == {k: v.shape for k, v in lite[1].items()}
    blank.load_state_dict(clone.state_dict(), strict=True, assign=True)
    hint = torch.zeros(())
    features = [backbone.encode(net, tiny.x, tiny.timestep, tiny.context, hint) for net in (blank, clone)]
    assert all(map(torch.equal, *features))


def test_runs_in_double_precision(made):
    _, tiny = made
    network = tiny.network.double()
    net = ControlNet.from_base(network, init="gaussian")
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    context = tiny.context.to(dtype=torch.float64)
    residuals = net(tiny.x.double(), tiny.timestep, context, tiny.condition)
    y = denoise(network, tiny.x.double(), tiny.timestep, context, residuals)
    assert y.dtype == torch.float64
