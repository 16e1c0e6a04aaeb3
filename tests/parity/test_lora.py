"""LoRA as diffusers loads and fuses it, where peft is there: the same weights, and the same prediction."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from controlnet.backbones import Base, load_base
from controlnet.checkpoints.lora import add_lora
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from tests.helpers import tiny_base

pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")  # of peft and diffusers about each other

TARGETS = ("to_q", "to_out.0", "ff.net.0.proj", "proj_in", "q_proj", "fc1")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return load_base(tiny_base(tmp_path_factory.mktemp("base") / "tiny"))


def tensors(base: Base, kohya: bool) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    found: dict[str, Tensor] = {}
    text = base.text_encoders[0]
    inner = "" if hasattr(text, "text_model") else "text_model."
    for prefix, short, network in (("unet", "lora_unet", base.network), ("text_encoder", "lora_te", text)):
        for path, module in network.named_modules():
            if not path.endswith(TARGETS) or not isinstance(module, nn.Linear | nn.Conv2d):
                continue
            out, *rest = module.weight.shape
            up = 0.1 * torch.randn(out, 3, *[1] * (len(rest) - 1), generator=generator)
            down = torch.randn(3, *rest, generator=generator)
            path = path if prefix == "unet" else inner + path
            if kohya:
                name = f"{short}_{path.replace('.', '_')}"
                found |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
                found[f"{name}.alpha"] = torch.tensor(1.5)
            else:
                found |= {f"{prefix}.{path}.lora_B.weight": up, f"{prefix}.{path}.lora_A.weight": down}
    return found


def pipeline(base: Base) -> Any:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    return StableDiffusionPipeline(
        vae=base.vae,
        unet=base.network,
        text_encoder=base.text_encoders[0],
        tokenizer=base.tokenizers[0],
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        **absent,
        requires_safety_checker=False,
    )


@pytest.mark.parametrize("kohya", [True, False], ids=["kohya", "diffusers"])
def test_merged_as_diffusers_fuses(base: Base, tmp_path: Path, kohya: bool) -> None:
    mine, theirs = deepcopy(base), deepcopy(base)
    save_file(tensors(base, kohya), tmp_path / "a.safetensors")
    add_lora(mine, tmp_path / "a.safetensors", 0.6)
    loaded = pipeline(theirs)
    loaded.load_lora_weights(tmp_path, weight_name="a.safetensors")
    loaded.fuse_lora(components=["unet", "text_encoder"], lora_scale=0.6)
    loaded.unload_lora_weights()
    triples = [(mine.network, loaded.unet, base.network)]
    # With transformers of flat text encoders, diffusers loses kohya's text part, with a warning.
    if not kohya:
        triples.append((mine.text_encoders[0], loaded.text_encoder, base.text_encoders[0]))
    for own, their, old in triples:
        wanted, before = their.state_dict(), old.state_dict()
        found = own.state_dict()
        assert found.keys() == wanted.keys()
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=1e-6)
        assert sum(not torch.equal(before[name], tensor) for name, tensor in found.items()) >= 2
    # And under a control that was made of the base as it was.
    net = ControlNet.from_base(base)
    with torch.no_grad():
        for zero in net.zeros.parameters():
            zero.add_(0.1)
        x, condition = torch.randn(1, 4, 4, 4), torch.rand(1, 3, 32, 32)
        context = base.encode_prompts(["a cube"])
        residuals = net(x, 10, context, condition)
        found, wanted = (denoise(n, x, 10, context, residuals) for n in (mine.network, loaded.unet))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert not torch.allclose(found, denoise(base, x, 10, context, residuals), atol=1e-3)
