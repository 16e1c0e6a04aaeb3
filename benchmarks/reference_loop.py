"""The training step that most ControlNets on diffusers were made with, as a reference to be measured against.

The same operations in the same order as diffusers' example trainer has them with its defaults, in single
precision, in words of our own on diffusers' public classes: at every step the pictures are read and encoded,
the captions tokenized and encoded, and the gradients set to zero, not freed. No caption is dropped, which
costs the same.

Legend: B pictures, C h w latents, T tokens.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoTokenizer
from transformers.models.clip.modeling_clip import CLIPTextModel

from benchmarks.frame import Action, in_turns, median
from controlnet.backbones import locate

Example = tuple[Path, Path, str]


class ReferenceLoop:
    """Models, data and optimizer; `step` reads a batch and learns from it."""

    def __init__(self, base: Path, examples: Sequence[Example], batch: int, lr: float = 1e-5) -> None:
        kind = AutoencoderTiny if "Tiny" in (base / "vae" / "config.json").read_text() else AutoencoderKL
        single = {"torch_dtype": torch.float32}
        self.vae: Any = kind.from_pretrained(base, subfolder="vae", **single)
        self.unet: Any = UNet2DConditionModel.from_pretrained(base, subfolder="unet", **single)
        self.text: Any = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base / "tokenizer")
        self.schedule: Any = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
        for module in (self.vae, self.unet, self.text):
            module.requires_grad_(False)
        self.net: Any = ControlNetModel.from_unet(self.unet).train()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=lr)
        self._batches = self._stream([*examples], batch)

    def step(self) -> float:
        """Take a step and return its loss."""
        pixels, conditions, words = next(self._batches)
        latents = self._encode(pixels)  # B C h w
        noise = torch.randn_like(latents)
        timestep = torch.randint(0, self.schedule.config.num_train_timesteps, (len(latents),))
        noisy = self.schedule.add_noise(latents, noise, timestep)
        context = self.text(words, return_dict=False)[0]  # B T D
        skips, middle = self.net(
            noisy, timestep, encoder_hidden_states=context, controlnet_cond=conditions, return_dict=False
        )
        prediction = self.unet(
            noisy,
            timestep,
            encoder_hidden_states=context,
            down_block_additional_residuals=skips,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        wanted = noise
        if self.schedule.config.prediction_type == "v_prediction":
            wanted = self.schedule.get_velocity(latents, noise, timestep)
        loss = nn.functional.mse_loss(prediction, wanted)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        return loss.item()

    def _encode(self, pixels: Tensor) -> Tensor:
        encoded = self.vae.encode(pixels)
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.sample()
        return latents * self.vae.config.scaling_factor

    def _stream(self, examples: list[Example], batch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        loader: Any = DataLoader(examples, batch, shuffle=True, drop_last=True, collate_fn=self._collate)  # pyright: ignore[reportArgumentType]
        while True:
            yield from loader

    def _collate(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
        pixels = torch.stack([_read(path) * 2 - 1 for path, _, _ in examples])
        conditions = torch.stack([_read(path) for _, path, _ in examples])
        words = self.tokenizer(
            [caption for _, _, caption in examples],
            max_length=self.tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return pixels, conditions, words.input_ids


def _read(path: Path) -> Tensor:
    with Image.open(path) as picture:
        return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def parts(batch: int = 4, repeats: int = 5) -> dict[str, float]:
    """Return the processor's milliseconds of a step on the embedded base, and of what ours leaves out."""
    from benchmarks.trainers import HELD_OUT, examples, write_data

    with tempfile.TemporaryDirectory() as place:
        data = write_data(Path(place) / "data", 128, batch + HELD_OUT)
        loop = ReferenceLoop(locate("shapes")[0], examples(data), batch)
        pixels, _, words = next(loop._batches)
        actions: dict[str, Action] = {
            "the step": loop.step,
            "reading": lambda: next(loop._batches),
            "VAE": lambda: loop._encode(pixels),
            "text encoder": lambda: loop.text(words),
            "AdamW": loop.optimizer.step,
        }
        taken = in_turns(actions, repeats, clock=process_time)
    return {name: 1000 * median(each) for name, each in taken.items()}


if __name__ == "__main__":
    print(", ".join(f"{name} {each:.0f} ms" for name, each in parts().items()))
