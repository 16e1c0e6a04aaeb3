"""The embedded base: Stable Diffusion's shape, only small, saved as an ordinary pipeline folder."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from controlnet.core.objective import Objective
from controlnet.shapes.captions import caption
from controlnet.shapes.corpus import read_corpus
from controlnet.shapes.recipe.autoencoder import pixels
from controlnet.shapes.recipe.fit import Schedule, channels_last, fit
from controlnet.shapes.recipe.tokenizer import write_tokenizer
from controlnet.shapes.scene import Scene, draw_scene

SEED: Final = 1  # of the world it is trained on; world 2 is kept for measuring
SCENES: Final = 16000
BATCH: Final = 16
GROWS: Final = 12000  # the step from which on a batch is twice as large
DROPOUT: Final = 0.1  # of captions, for classifier-free guidance
SHARPEST: Final = 6.0  # an error of the clean latents counts SNR + 1, as v-prediction has it, but no more
SCHEDULE: Final = Schedule(steps=18100, lr=8e-4, warmup=200, ema=0.999, restarts=(7000, GROWS))
TOKENS: Final = 32


class TextToImage(nn.Module):
    """U-Net and text encoder, trained together."""

    def __init__(self, vocabulary: int, end: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=8,
            out_channels=8,
            block_out_channels=(64, 80, 96, 128),
            layers_per_block=2,
            cross_attention_dim=128,
            attention_head_dim=4,  # the number of heads: the name is historical
            norm_num_groups=16,
        )
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=128,
                intermediate_size=512,
                projection_dim=128,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=TOKENS,
                bos_token_id=end - 1,
                eos_token_id=end,
                pad_token_id=end,
            )
        )

    def forward(self, noisy: Tensor, timestep: Tensor, tokens: Tensor) -> Tensor:
        """Predict the velocity v: latents (B, 8, 16, 16), timesteps (B,), token ids (B, T)."""
        context = self.text(tokens).last_hidden_state
        return self.unet(noisy, timestep, context, return_dict=False)[0]


def scheduler() -> DDIMScheduler:
    """Make Stable Diffusion's noise schedule, carried on until next to nothing of the picture is left.

    Stable Diffusion 1 ends at β = 0.012, where a picture's mean still shows through the noise, and sampling,
    which begins from noise alone, then takes the brightness of the sky from the seed rather than from the
    prompt (Lin et al., arXiv 2305.08891). With 16×16 latents that was plain to see; hence 0.02, and sampling
    from the last timestep. There an error of ε is one of the picture 64 times as large, and pictures came out
    black or glaring; hence v-prediction (Salimans and Ho, arXiv 2202.00512), as in Stable Diffusion 2.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        timestep_spacing="trailing",
    )


def train(
    corpus: Path, out: Path, scenes: int = SCENES, schedule: Schedule = SCHEDULE
) -> Iterator[dict[str, float]]:
    """Train the base on top of `out`/vae and complete the pipeline folder `out`."""
    vae = channels_last(AutoencoderTiny.from_pretrained(out / "vae", local_files_only=True))
    tokenizer = write_tokenizer(out / "tokenizer", TOKENS)
    world = [draw_scene(SEED, index) for index in range(scenes)]
    latents = _latents(vae, corpus, scenes, out / "latents.pt")
    model = TextToImage(len(tokenizer), cast(int, tokenizer.eos_token_id))
    noising = scheduler()
    objective = Objective(noising.alphas_cumprod, noising.config["prediction_type"])

    def loss(batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(scenes, (batch,), generator=generator)
        clean = latents[pick].float()
        noise = torch.randn(clean.shape, generator=generator)
        timestep = _spread(objective.timesteps, batch, generator)
        tokens = _tokens(tokenizer, [world[i] for i in pick.tolist()], generator)
        prediction = model(objective.add_noise(clean, noise, timestep), timestep, tokens)
        each = objective.loss(prediction, objective.target(clean, noise, timestep))
        weight = (SHARPEST * objective.sigma[timestep] ** 2).clamp(max=1)  # σ² = 1 / (SNR + 1)
        return {"loss": (each * weight).mean(), "mse": each.mean()}

    # The second part goes on from the state of the first, whatever weights the first has left in the model.
    for batch, steps in ((BATCH, min(GROWS, schedule.steps)), (2 * BATCH, schedule.steps)):
        yield from fit(model, partial(loss, batch), replace(schedule, steps=steps), out / "base_run")
    save(model, out)


def save(model: TextToImage, out: Path) -> None:
    """Write network, text encoder, schedule and index, as diffusers writes a Stable Diffusion pipeline."""
    model.unet.save_pretrained(out / "unet")
    model.text.save_pretrained(out / "text_encoder")
    scheduler().save_pretrained(out / "scheduler")
    parts = {
        "vae": ["diffusers", "AutoencoderTiny"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    index = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False} | parts
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


@torch.no_grad()
def _latents(vae: AutoencoderTiny, corpus: Path, scenes: int, cache: Path) -> Tensor:
    """Encode every picture once: scaled latents (N, 8, 16, 16), half precision."""
    if not cache.exists():
        images = torch.from_numpy(read_corpus(corpus, "image", scenes))
        latents = torch.cat([vae.encode(pixels(chunk), return_dict=False)[0] for chunk in images.split(100)])
        beside = cache.with_suffix(".part")
        torch.save((latents * vae.config["scaling_factor"]).half(), beside)
        os.replace(beside, cache)
    return torch.load(cache, weights_only=True)


def _spread(timesteps: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw one of the steps 0 … timesteps − 1 from each `count`-th part of them, (count,) int64.

    Each step is as likely as before, and the mean loss of a batch is less noisy; after the low-discrepancy
    sampler of Kingma et al., arXiv 2107.00630.
    """
    parts = torch.arange(count) + torch.rand(count, generator=generator)
    return (parts * (timesteps / count)).long().clamp(max=timesteps - 1)


def _tokens(tokenizer: CLIPTokenizer, scenes: list[Scene], generator: torch.Generator) -> Tensor:
    """Phrase scenes anew, drop some captions, and tokenize: (B, T)."""
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    captions = ["" if rng.random() < DROPOUT else caption(scene, rng) for scene in scenes]
    encoded = tokenizer(
        captions, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
    )
    return encoded["input_ids"]
