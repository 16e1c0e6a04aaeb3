import json
import shutil

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError


@pytest.fixture(scope="module")
def base(folder) -> Base:
    return load_base(folder)


@pytest.fixture
def broken(folder, tmp_path):
    """A copy of the folder, to be broken."""
    return shutil.copytree(folder, tmp_path / "broken")


def test_every_part_is_locked_and_in_place(base):
    assert (base.name, base.latent_channels, base.downscale, base.sample_size) == ("small-sd", 4, 8, 128)
    assert (base.dtype, base.device, base.backbone.name) == (torch.float32, torch.device("cpu"), "unet")
    for part in (base.network, base.vae, *base.text_encoders):
        assert not any(p.requires_grad for p in part.parameters())
        assert not any(module.training for module in part.modules())
    assert "small-sd" in repr(base)


def test_weights_are_those_of_the_folder(base, folder):
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    theirs = UNet2DConditionModel.from_pretrained(folder / "unet")
    assert all(map(torch.equal, base.network.parameters(), theirs.parameters()))


def test_the_whole_way_from_prompt_and_pixels_to_pixels(base):
    torch.manual_seed(0)
    pixels, condition = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 3, 64, 64)
    context, z = base.encode_prompts(["red a", ""]), base.encode_pixels(pixels)
    assert context.tokens.shape == (2, 7, 12) and z.shape == (2, 4, 8, 8)
    net = ControlNet.from_base(base)
    y = denoise(base, z, 10, context)
    assert torch.equal(denoise(base, z, 10, context, net(z, 10, context, condition)), y)
    assert net.origin.name == "small-sd" and net.origin.fingerprint == base.fingerprint()
    decoded = base.decode_latents(base.objective.x0(z, y, torch.tensor([10, 10])))
    assert decoded.shape == (2, 3, 64, 64) and decoded.abs().max() <= 1


def test_prompts_as_the_pipeline_encodes_them(base):
    tokenizer, encoder = base.tokenizers[0], base.text_encoders[0]
    ids = tokenizer(
        ["red a"], padding="max_length", max_length=7, truncation=True, return_tensors="pt"
    ).input_ids
    assert torch.equal(base.encode_prompts(["red a"]).tokens, encoder(ids)[0])
    assert torch.equal(base.encode_prompts("red a").tokens, base.encode_prompts(["red a"]).tokens)
    assert not torch.equal(base.encode_prompts(["a"]).tokens, base.encode_prompts(["b"]).tokens)


def test_a_caption_that_is_too_long_is_cut_with_a_warning(base, caplog):
    context = base.encode_prompts(["a b c d e f g h i"], literal=True)
    assert context.tokens.shape == (1, 7, 12)
    assert "cut to its first 7 of 11 tokens" in caplog.text


def test_thousands_of_such_captions_are_told_of_in_a_few_lines(folder, caplog):
    base = load_base(folder)
    for number in range(20):
        base.encode_prompts(["a b c d e f g h i " + "a " * number], literal=True)
    assert caplog.text.count("cut to its first") == 3 and caplog.text.count("not told") == 1


def test_latents_are_shifted_and_scaled(base):
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    distribution = base.vae.encode(pixels).latent_dist
    mean, std = base.posterior(pixels)
    assert torch.allclose(mean, (distribution.mean - 0.1) * 0.2)
    assert torch.allclose(std, distribution.std * 0.2)
    assert torch.equal(base.encode_pixels(pixels), mean)
    draws = [base.encode_pixels(pixels, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.allclose(
        base.decode_latents(mean), base.vae.decode(distribution.mean).sample.clamp(-1, 1), atol=1e-5
    )


def test_gradients_pass_the_decoder(base):
    z = torch.randn(1, 4, 4, 4, requires_grad=True)
    base.decode_latents(z).sum().backward()
    assert z.grad.any()


def test_the_tiny_autoencoder(write_base, tmp_path):
    base = load_base(write_base(tmp_path / "tiny", autoencoder="tiny"))
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    assert base.downscale == 8
    assert torch.equal(
        base.encode_pixels(pixels), base.vae.encode(pixels).latents * base.vae.config.scaling_factor
    )
    assert not base.posterior(pixels)[1].any()
    decoded = base.decode_latents(base.encode_pixels(pixels))
    assert decoded.shape == pixels.shape


def test_sdxl_reads_two_encoders_and_the_size(xl_folder):
    base = load_base(xl_folder)
    context = base.encode_prompts(["red a", "a"], size=(96, 160))
    full = {"padding": "max_length", "max_length": 7, "truncation": True}
    ids = base.tokenizers[0](["red a", "a"], **full, return_tensors="pt").input_ids
    one, two = (encoder(ids, output_hidden_states=True) for encoder in base.text_encoders)
    assert torch.equal(context.tokens, torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1))
    assert torch.equal(context.text_embeds, two.text_embeds)
    assert context.time_ids.tolist() == [[96, 160, 0, 0, 96, 160]] * 2
    assert base.encode_prompts(["a"]).time_ids.tolist() == [[128, 128, 0, 0, 128, 128]]
    assert denoise(base, torch.randn(2, 4, 8, 8), 5, context).shape == (2, 4, 8, 8)


def test_the_objective_is_the_scheduler_s(base, write_base, tmp_path):
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    assert base.prediction_type == "epsilon" and base.objective.timesteps == 1000
    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert torch.allclose(base.objective.alpha**2, theirs.alphas_cumprod)
    v = load_base(write_base(tmp_path / "v", "sd2", prediction_type="v_prediction"))
    assert v.prediction_type == "v_prediction"
    strange = load_base(write_base(tmp_path / "s", prediction_type="sample"))
    with pytest.raises(CheckpointError, match="prediction_type 'sample'"):
        _ = strange.objective


def test_precision_and_fingerprint(base, folder):
    half = load_base(folder, dtype=torch.bfloat16)
    assert half.dtype == half.vae.dtype == half.text_encoders[0].dtype == torch.bfloat16
    assert half.encode_prompts(["a"]).tokens.dtype == torch.bfloat16
    assert half.encode_pixels(torch.zeros(1, 3, 32, 32)).dtype == torch.bfloat16
    assert base.fingerprint() == load_base(folder, dtype=torch.float16).fingerprint()


def test_a_vae_that_overflows_in_half_precision_stays_in_single(folder):
    base = load_base(folder)
    base.vae.register_to_config(force_upcast=True)
    base.to(dtype=torch.float16)
    assert base.vae.dtype == torch.float32 and base.dtype == torch.float16
    assert base.encode_pixels(torch.zeros(1, 3, 32, 32)).dtype == torch.float16


def test_a_folder_of_half_precision_variants(broken):
    for path in broken.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    assert load_base(broken).dtype == torch.float32


def remove_key(path, key):
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    assert tensors.pop(key) is not None
    save_file(tensors, path, {"format": "pt"})


UNET = "unet/diffusion_pytorch_model.safetensors"
BREAKAGES = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "model_index.json"),
    "index no json": (lambda f: (f / "model_index.json").write_text("{"), "model_index.json"),
    "index a list": (lambda f: (f / "model_index.json").write_text("[1]"), "JSON object"),
    "no unet": (lambda f: shutil.rmtree(f / "unet"), "no folder unet"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json"),
    "no weights": (lambda f: (f / UNET).unlink(), "unet"),
    "weights cut short": (lambda f: (f / UNET).write_bytes((f / UNET).read_bytes()[:5000]), "unet"),
    "weights no safetensors": (lambda f: (f / UNET).write_bytes(b"nothing of the kind"), "unet"),
    "unet misses a tensor": (
        lambda f: remove_key(f / UNET, "conv_out.weight"),
        "1 keys .conv_out.weight. missing",
    ),
    "text misses a tensor": (
        lambda f: remove_key(f / "text_encoder/model.safetensors", "final_layer_norm.weight"),
        "final_layer_norm.weight",
    ),
    "tokenizer empty": (lambda f: [p.unlink() for p in (f / "tokenizer").iterdir()], "tokenizer"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_folder_is_one_clear_error(name, broken):
    damage, message = BREAKAGES[name]
    damage(broken)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_base(broken)
    assert "\n" not in str(caught.value)


def test_a_folder_names_no_code_to_import(broken):
    index = json.loads((broken / "model_index.json").read_text())
    index["vae"] = ["os", "system"]
    (broken / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="gives vae the class system"):
        load_base(broken)


def test_sources_that_lead_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_base(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="there is no file or folder"):
        load_base(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"from the hub.*hf download some-owner/some-name"):
        load_base("some-owner/some-name")


def test_the_embedded_base_is_there_or_its_absence_is_explained(monkeypatch, folder, tmp_path):
    monkeypatch.setattr("controlnet.backbones._SHIPPED", tmp_path / "absent")
    with pytest.raises(CheckpointError, match="no embedded base"):
        load_base("shapes")
    monkeypatch.setattr("controlnet.backbones._SHIPPED", folder)
    assert load_base("shapes").name == "shapes"
