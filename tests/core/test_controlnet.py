import pytest
import torch
from torch import nn

from controlnet.backbones.unet import UNet
from controlnet.core.controlled import ControlledModel, denoise
from controlnet.core.controlnet import ControlNet, ControlSettings
from controlnet.core.lite import LiteCopy
from controlnet.errors import SettingError, ShapeError


@pytest.fixture(scope="module")
def tiny():
    return UNet().tiny("sd")


def awake(tiny, **changes) -> ControlNet:
    """A ControlNet whose every Z has left zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = ControlNet.from_base(tiny.network, **changes)
        for parameter in (*net.zeros.parameters(), *net.hint[-1].parameters()):
            nn.init.normal_(parameter, std=0.2)
    return net


def inputs(tiny):
    return tiny.x, tiny.timestep, tiny.context, tiny.condition


def test_settings_whole_by_keyword_or_both(tiny):
    whole = ControlSettings(hint="unshuffle")
    assert ControlNet.from_base(tiny.network, whole).settings == whole
    assert ControlNet.from_base(tiny.network, hint="unshuffle").settings == whole
    both = ControlNet.from_base(tiny.network, whole, connect="middle").settings
    assert both == ControlSettings(hint="unshuffle", connect="middle")


def test_knows_its_origin(tiny):
    class Base:
        name, network, backbone = "tiny", tiny.network, UNet()

    origin = ControlNet.from_base(Base()).origin
    assert (origin.name, len(origin.fingerprint)) == ("tiny", 12)
    assert origin == ControlNet.from_base(Base()).origin
    assert ControlNet.from_base(tiny.network).origin.name == "UNet2DConditionModel"


def test_a_condition_matters_once_awake(tiny):
    net = awake(tiny)
    x, t, context, condition = inputs(tiny)
    a, b = net(x, t, context, condition), net(x, t, context, 1 - condition)
    assert all(not torch.equal(p, q) for p, q in zip(a, b, strict=True))
    y = denoise(tiny.network, x, t, context)
    assert not torch.equal(denoise(tiny.network, x, t, context, a), y)


def test_the_hint_can_be_computed_once(tiny):
    net = awake(tiny)
    x, t, context, condition = inputs(tiny)
    hint = net.embed(condition)
    assert all(map(torch.equal, net(x, t, context, condition), net.residuals(x, t, context, hint)))


def test_one_condition_serves_a_batch_and_one_timestep_too(tiny):
    net = awake(tiny)
    x, _, context, condition = inputs(tiny)
    one = net(x, 10, context, condition[:1])
    each = net(x, torch.tensor([10, 10]), context, condition[:1].expand(2, -1, -1, -1))
    assert all(map(torch.allclose, one, each))


def test_middle_only_gives_zeros_at_the_skips_and_still_controls(tiny):
    net = awake(tiny, connect="middle")
    x, t, context, condition = inputs(tiny)
    residuals = net(x, t, context, condition)
    assert list(net.zeros) == ["middle"]
    assert not any(r.any() for r in residuals.tensors[:-1]) and residuals[-1].any()
    y = denoise(tiny.network, x, t, context)
    assert not torch.allclose(denoise(tiny.network, x, t, context, residuals), y)


def test_relinking_starts_from_zero(tiny):
    net = awake(tiny, connect="middle")
    x, t, context, condition = inputs(tiny)
    before = net(x, t, context, condition)
    net.relink()
    assert net.settings.connect == "all"
    assert list(net.zeros) == [tap.name for tap in net.taps]  # as if they had always been joined
    assert all(map(torch.equal, net(x, t, context, condition), before))


def test_gaussian_start_disturbs_the_base(tiny):
    x, t, context, condition = inputs(tiny)
    net = ControlNet.from_base(tiny.network, init="gaussian")
    y = denoise(tiny.network, x, t, context)
    assert not torch.allclose(denoise(tiny.network, x, t, context, net(x, t, context, condition)), y)


def test_lite_puts_one_convolution_in_the_place_of_each_block(tiny):
    net = awake(tiny, copy="lite")
    assert isinstance(net.copy, LiteCopy) and len(list(net.copy.modules())) == 15  # 13 taps, and two holders
    full = ControlNet.from_base(tiny.network)
    shapes = [tuple(r.shape) for r in full(*inputs(tiny))]
    assert [tuple(r.shape) for r in net(*inputs(tiny))] == shapes


def test_global_pooling_makes_each_map_flat(tiny):
    for residual, plain in zip(
        awake(tiny, global_pool=True)(*inputs(tiny)), awake(tiny)(*inputs(tiny)), strict=True
    ):
        assert torch.allclose(residual, plain.mean((2, 3), keepdim=True).expand_as(plain))


def test_another_number_of_condition_channels(tiny):
    x, t, context, _ = inputs(tiny)
    net = awake(tiny, condition_channels=5)
    assert net(x, t, context, torch.rand(2, 5, 128, 128))[0].any()


def test_groups_are_disjoint_and_complete(tiny):
    net = awake(tiny)
    groups = net.parameter_groups()
    grouped = [id(p) for group in groups.values() for p in group]
    assert list(groups) == ["copy", "hint", "zero"]
    assert len(grouped) == len(set(grouped)) and set(grouped) == {id(p) for p in net.parameters()}


def test_a_half_precision_base_under_a_single_precision_net(tiny):
    network = UNet().tiny("sd").network.to(torch.bfloat16)
    net = ControlNet.from_base(network)
    assert {p.dtype for p in net.parameters()} == {torch.bfloat16}
    net.float()
    x, t, context, condition = inputs(tiny)
    residuals = net(x.bfloat16(), t, context.to(dtype=torch.bfloat16), condition)
    assert {r.dtype for r in residuals} == {torch.float32}
    y = denoise(network, x.bfloat16(), t, context.to(dtype=torch.bfloat16), residuals)
    assert y.dtype == torch.bfloat16


def test_model_keeps_the_base_locked(tiny):
    net = awake(tiny)
    model = ControlledModel(tiny.network, net)
    model.train()
    assert not any(m.training for m in tiny.network.modules()) and net.training
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    assert trainable == {id(p) for p in net.parameters()}
    x, t, context, condition = inputs(tiny)
    assert torch.equal(model(x, t, context, condition, weight=0), denoise(tiny.network, x, t, context))
    wanted = denoise(tiny.network, x, t, context, net(x, t, context, condition) * 0.5)
    assert torch.equal(model(x, t, context, condition, weight=0.5), wanted)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 100, 128), "multiples of 8"),
        ((2, 4, 128, 128), "wanted floats .B,3,H,W."),
        ((3, 128, 128), "wanted floats .B,3,H,W."),
        ((2, 3, 128, 136), "of 128×128 pixels"),
        ((3, 3, 128, 128), "one for each sample"),
    ],
)
def test_a_condition_that_does_not_fit_is_refused(tiny, shape, message, unchecked):
    net = unchecked("controlnet").ControlNet.from_base(tiny.network)
    with pytest.raises(ShapeError, match=message):
        net(tiny.x, tiny.timestep, tiny.context, torch.rand(shape))


def test_a_condition_of_bytes_is_refused(tiny, unchecked):
    net = unchecked("controlnet").ControlNet.from_base(tiny.network)
    with pytest.raises(ShapeError, match=r"of torch.uint8; wanted floats .* in \[0,1\]"):
        net.embed(torch.zeros(2, 3, 128, 128, dtype=torch.uint8))


def test_residuals_of_another_base_are_refused(tiny):
    xl = UNet().tiny("sdxl")
    residuals = ControlNet.from_base(xl.network)(*inputs(xl))
    with pytest.raises(ShapeError, match="skips first"):
        denoise(tiny.network, *inputs(tiny)[:3], residuals)


def test_a_network_that_nobody_knows_is_refused():
    with pytest.raises(SettingError, match="got a Linear"):
        ControlNet.from_base(nn.Linear(2, 2))


def test_a_prompt_without_sizes_is_refused():
    xl = UNet().tiny("sdxl")
    with pytest.raises(SettingError, match="without text_embeds and time_ids"):
        denoise(xl.network, xl.x, xl.timestep, xl.context.tokens)
