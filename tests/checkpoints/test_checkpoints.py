import json
import shutil

import pytest
import torch

from controlnet.backbones.unet import UNet
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, UnknownName
from controlnet.registry import find, names
from tests.checkpoints.nets import awake, residuals, same


@pytest.mark.parametrize("format", names("formats"))
@pytest.mark.parametrize("variant", UNet.variants)
@pytest.mark.parametrize("with_base", [False, True], ids=["alone", "with its base"])
def test_what_is_written_is_read_again(format, variant, with_base, tmp_path):
    tiny, net = awake(variant, condition_channels=4, global_pool=True)
    needed = tiny.network if find("formats", format).needs_base else None
    save_controlnet(net, tmp_path / "net", format, base=needed)
    again = load_controlnet(tmp_path / "net", base=tiny.network if with_base else needed)
    condition = torch.rand(2, 4, 128, 128)
    inputs = (tiny.x, tiny.timestep, tiny.context, condition)
    assert same(again(*inputs), net(*inputs))
    assert again.settings == net.settings and again.taps == net.taps
    assert again.origin.fingerprint == net.origin.fingerprint
    assert all(p.requires_grad for p in again.parameters())
    # And once more: what was loaded can be written.
    save_controlnet(again, tmp_path / "again", format, base=needed)
    assert same(load_controlnet(tmp_path / "again", base=needed)(*inputs), net(*inputs))


@pytest.mark.parametrize(
    "changes",
    [
        {"hint": "paper"},
        {"hint": "unshuffle", "connect": "middle"},
        {"copy": "lite"},
        {"hint_widths": (8, 12, 16, 20)},
    ],
    ids=str,
)
def test_the_native_format_holds_every_setting(changes, tmp_path):
    tiny, net = awake(**changes)
    save_controlnet(net, tmp_path / "net.safetensors")
    again = load_controlnet(tmp_path / "net.safetensors")
    assert again.settings == net.settings and again.origin == net.origin
    assert same(residuals(again, tiny), residuals(net, tiny))


def test_between_the_formats(made, native, tmp_path):
    tiny, net = made
    save_controlnet(load_controlnet(native), tmp_path / "theirs", "diffusers")
    save_controlnet(load_controlnet(tmp_path / "theirs"), tmp_path / "back.safetensors")
    assert same(residuals(load_controlnet(tmp_path / "back.safetensors"), tiny), residuals(net, tiny))


@pytest.mark.parametrize("variant", UNet.variants)
@pytest.mark.parametrize("connect", ["all", "middle"])
def test_diffusers_loads_its_format_with_equal_outputs(variant, connect, tmp_path):
    from diffusers.models.controlnets.controlnet import ControlNetModel

    tiny, net = awake(variant, connect=connect)
    save_controlnet(net, tmp_path / "net", "diffusers")
    theirs, report = ControlNetModel.from_pretrained(tmp_path / "net", output_loading_info=True)
    assert not any(report.values())
    added = {"text_embeds": tiny.context.text_embeds, "time_ids": tiny.context.time_ids}
    down, middle = theirs(
        tiny.x,
        tiny.timestep,
        tiny.context.tokens,
        controlnet_cond=tiny.condition,
        added_cond_kwargs=added,
        return_dict=False,
    )
    assert same(residuals(net, tiny), (*down, middle))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_what_diffusers_writes_is_read(order, tmp_path):
    from diffusers.models.controlnets.controlnet import ControlNetModel

    tiny = UNet().tiny("sd")
    theirs = ControlNetModel.from_unet(
        tiny.network,
        controlnet_conditioning_channel_order=order,
        conditioning_embedding_out_channels=(4, 8, 12, 16),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    theirs.save_pretrained(tmp_path / "net")
    net = load_controlnet(tmp_path / "net")
    down, middle = theirs(
        tiny.x, tiny.timestep, tiny.context.tokens, controlnet_cond=tiny.condition, return_dict=False
    )
    pairs = zip(residuals(net, tiny), (*down, middle), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_half_precision_on_disk(made, tmp_path):
    _, net = made
    save_controlnet(net, tmp_path / "half.safetensors", dtype=torch.float16)
    save_controlnet(net, tmp_path / "full.safetensors")
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.7 * sizes[1]
    assert load_controlnet(tmp_path / "half.safetensors").dtype == torch.float32
    assert load_controlnet(tmp_path / "half.safetensors", dtype=torch.bfloat16).dtype == torch.bfloat16
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_with_a_base_it_takes_the_base_s_precision(native):
    network = UNet().tiny("sd").network.to(torch.bfloat16)
    assert load_controlnet(native, base=network).dtype == torch.bfloat16


def test_loading_draws_no_random_numbers(native):
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    load_controlnet(native)
    assert torch.equal(torch.rand(3), wanted)


def test_it_serves_another_base_of_the_same_architecture(native, made, caplog):
    other = UNet().tiny("sd", seed=1)
    with caplog.at_level("INFO"):
        net = load_controlnet(native, base=other.network)
    assert "of other weights than this base" in caplog.text
    y = denoise(other.network, other.x, other.timestep, other.context, residuals(net, other))
    assert y.shape == other.x.shape


def test_another_architecture_is_refused_by_both_names(native, theirs):
    other = UNet().tiny("sdxl").network
    with pytest.raises(
        CheckpointError, match="for the base 'UNet2DConditionModel'; got the base 'UNet2DCond"
    ):
        load_controlnet(native, base=other)
    with pytest.raises(CheckpointError, match="does not fit"):
        load_controlnet(theirs, base=other)


def test_another_text_width_is_refused(native):
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = {**UNet().describe(UNet().tiny("sd").network), "cross_attention_dim": 20}
    with pytest.raises(CheckpointError, match=r"of another size \(copy.*\(8, 12\), not \(8, 20\)"):
        load_controlnet(native, base=UNet2DConditionModel(**config))


def test_a_config_that_differs_in_words_only_is_no_obstacle(native):
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = {**UNet().describe(UNet().tiny("sd").network), "sample_size": 99}
    assert load_controlnet(native, base=UNet2DConditionModel(**config))


@pytest.mark.parametrize("kind", ["native", "theirs"])
def test_it_is_described_without_being_loaded(kind, made, request):
    told = describe(request.getfixturevalue(kind))
    assert told["format"] == {"native": "native", "theirs": "diffusers"}[kind]
    assert told["parameters"] == sum(p.numel() for p in made[1].parameters())
    assert told["trained"] is True and told["precision"] == ["F32"]
    assert told["settings"]["condition_channels"] == 3
    assert told["base"]["fingerprint"] == made[1].origin.fingerprint
    assert told["metadata"]["provenance"] == "a test"
    json.dumps(told)


def test_an_untrained_net_says_so(tmp_path):
    save_controlnet(ControlNet.from_base(UNet().tiny("sd").network), tmp_path / "net.safetensors")
    assert describe(tmp_path / "net.safetensors")["trained"] is False


@pytest.mark.parametrize("changes", [{"hint": "unshuffle"}, {"copy": "lite"}], ids=str)
def test_diffusers_format_refuses_what_it_cannot_hold(changes, tmp_path):
    _, net = awake(**changes)
    with pytest.raises(CheckpointError, match='save with format="native"'):
        save_controlnet(net, tmp_path / "net", "diffusers")
    assert not (tmp_path / "net").exists()


def test_saving_where_something_else_is(made, tmp_path):
    _, net = made
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a folder"):
        save_controlnet(net, tmp_path)
    with pytest.raises(CheckpointError, match="is a file"):
        save_controlnet(net, tmp_path / "file", "diffusers")
    with pytest.raises(UnknownName, match="did you mean diffusers"):
        save_controlnet(net, tmp_path / "net", "difusers")
    with pytest.raises(CheckpointError, match="no JSON"):
        save_controlnet(net, tmp_path / "net", metadata={"plan": object()})


def test_an_interrupted_write_leaves_the_old_file_and_no_trace(native, made, monkeypatch):
    before = native.read_bytes()

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr("controlnet.checkpoints.io.settle", full)
    with pytest.raises(OSError, match="no space"):
        save_controlnet(made[1], native)
    assert native.read_bytes() == before
    assert list(native.parent.iterdir()) == [native]


def test_a_folder_keeps_what_else_is_in_it(theirs, made):
    (theirs / "README.md").write_text("mine")
    save_controlnet(made[1], theirs, "diffusers")
    assert (theirs / "README.md").read_text() == "mine"
    shutil.rmtree(theirs)


def test_a_hub_id_out_of_reach_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="hf download some-owner/some-net"):
        load_controlnet("some-owner/some-net")
