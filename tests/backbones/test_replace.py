"""Parts of a base that come from elsewhere: another VAE, other text encoders, as files and as folders."""

import pytest
import torch

from controlnet.backbones import load_base
from controlnet.errors import CheckpointError, SettingError
from tests.backbones.original import clip, open_clip, same, unmapped, write_file


def test_another_vae(bases, files, tmp_path):
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    folder, tensors = bases["sd1"]
    other = {key: t + 0.5 for key, t in tensors.items() if key.startswith("first_stage_model.")}
    bare = {key.removeprefix("first_stage_model."): t for key, t in other.items()}
    torch.save({"state_dict": bare | {"loss.logvar": torch.zeros(())}}, tmp_path / "vae.pt")
    without = {key: t for key, t in tensors.items() if key not in other}
    alone = write_file(tmp_path / "no_vae.safetensors", without)
    base = load_base(alone, vae=tmp_path / "vae.pt")
    before = load_base(folder).vae.state_dict()
    assert all(torch.equal(tensor, before[key] + 0.5) for key, tensor in base.vae.state_dict().items())
    assert base.vae.config.scaling_factor == 0.18215
    whole = write_file(tmp_path / "whole.safetensors", without | other)
    base.vae.save_pretrained(tmp_path / "folder" / "vae")
    diffusers_file = tmp_path / "folder" / "vae" / "diffusion_pytorch_model.safetensors"
    for vae in (whole, tmp_path / "folder" / "vae", diffusers_file):
        assert same(load_base(folder if vae == whole else files["sd1"], vae=vae).vae, base.vae)
    assert not same(load_base(files["sd1"], vae=folder).vae, base.vae)  # a whole pipeline's
    with pytest.raises(CheckpointError, match=r"has no VAE \(first_stage_model.*give the part as vae="):
        load_base(alone)
    wide = AutoencoderKL(
        block_out_channels=(32,), latent_channels=16, layers_per_block=1, scaling_factor=1.0
    ).save_pretrained(tmp_path / "wide")
    assert wide is None
    with pytest.raises(CheckpointError, match="works on 4 channels; its VAE has 16"):
        load_base(files["sd1"], vae=tmp_path / "wide")


def test_other_text_encoders(bases, files, tmp_path):
    folder, tensors = bases["sdxl"]
    base = load_base(folder)
    one, two = base.text_encoders
    for parameter in (*one.parameters(), *two.parameters()):
        parameter.data += 0.25
    prompt = unmapped(base).encode_prompts("a cat").tokens
    first = write_file(tmp_path / "clip_l.safetensors", clip(one, "text_model."))
    second = write_file(
        tmp_path / "clip_g.safetensors", {k: t.contiguous() for k, t in open_clip(two, "").items()}
    )
    two.save_pretrained(tmp_path / "two")
    for other in (second, tmp_path / "two", tmp_path / "two" / "model.safetensors"):
        loaded = load_base(folder if other == second else files["sdxl"], text_encoder=[first, other])
        assert torch.equal(unmapped(loaded).encode_prompts("a cat").tokens, prompt)
        assert same(loaded.text_encoders[1], two)
    mixed = load_base(files["sdxl"], text_encoder=[None, second])
    assert same(mixed.text_encoders[0], load_base(folder).text_encoders[0])
    texts = {key: t for key, t in tensors.items() if not key.startswith("conditioner.embedders.1.")}
    with pytest.raises(CheckpointError, match=r"has no text encoder 2 .*give the part as text_encoder="):
        load_base(write_file(tmp_path / "cut.safetensors", texts))
    with pytest.raises(SettingError, match="got 2 text encoders; this base has 1"):
        load_base(files["sd1"], text_encoder=[first, second])
