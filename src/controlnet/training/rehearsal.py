"""A run rehearsed without numbers: what a step, a picture drawn and a picture encoded keep in memory.

The networks are copied to the meta device, where they take no memory, and go through the same code as in
training (`ledger`).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from controlnet.backbones import Base
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.core.origin import Origin
from controlnet.core.settings import ControlSettings
from controlnet.training.engine import DTYPES
from controlnet.training.layout import recompute_activations
from controlnet.training.ledger import AsOn, Ledger, bytes_of
from controlnet.training.plan import TrainingPlan
from controlnet.training.step import Inputs, control_loss


@dataclass(frozen=True)
class Rehearsed:
    """Bytes. Of weights: base, the ControlNet, what surrounds the base; what is trained; its largest tensor.

    activations   the most at one time in a pass forwards and backwards, gradients left out
    step          the same with the gradients that grow meanwhile, from none to all
    drawing       the most at one time while one picture is drawn under guidance and decoded
    encoding      the most at one time while one picture is encoded
    """

    base: int
    net: int
    surroundings: int
    trained: int
    largest: int
    block: int
    activations: int
    step: int
    drawing: int
    encoding: int


@final
class Rehearsal:
    """A base whose training is rehearsed, for any plan with these settings of the ControlNet."""

    def __init__(self, base: Base, settings: ControlSettings) -> None:
        self._base, self._settings = base, settings
        self._texts = sum(p.numel() for encoder in base.text_encoders for p in encoder.parameters())
        self._context = base.encode_prompts([""]).to("meta", torch.float32)

    def __call__(self, plan: TrainingPlan, device: str, batch: int, size: int) -> Rehearsed:
        """Rehearse for a device ("cuda", "cpu" …), with so many pictures of a size in a pass."""
        unlocks = any(part.unlock == "decoder" for part in plan.stages)
        dtype = DTYPES[plan.engine.base or plan.precision]
        if unlocks and plan.precision == "fp32":
            dtype = torch.float32  # rather too much: of a base in half precision only what is trained is
        stage: Any = _Stage(self._base, ghost(self._base.network, dtype))
        overflows = dtype == torch.float16 and getattr(self._base.vae.config, "force_upcast", False)
        vae: Any = ghost(self._base.vae, torch.float32 if overflows else dtype)
        net = ControlNet.of(stage.network, stage.backbone, self._settings, Origin("", {})).float().train()
        if unlocks:
            stage.unlock()
        half = None if plan.precision == "fp32" else DTYPES[plan.precision]
        recompute_activations(net, stage.network, plan.optim.checkpointing, lambda: AsOn(device, half))
        weights = [p for part in (net, stage.network) for p in part.parameters()]
        parameters = [p for p in weights if p.requires_grad]

        with Ledger(weights) as ledger:
            for parameter in parameters:
                parameter.register_post_accumulate_grad_hook(lambda p: ledger.put_by(p.grad))
            with AsOn(device, half):
                inputs, noise, timestep = self._inputs(batch, size, dtype)
                loss = control_loss(stage, net, inputs, noise, timestep).mean()
            loss.backward()
        for parameter in parameters:
            parameter.grad = None
        blocks = [bytes_of(block.parameters()) for block in net.copy.children()]
        return Rehearsed(
            base=bytes_of(stage.network.parameters()),
            net=bytes_of(net.parameters()),
            surroundings=bytes_of(vae.parameters()) + self._texts * dtype.itemsize,
            trained=bytes_of(parameters),
            largest=max(bytes_of([p]) for p in parameters),
            block=max(blocks),
            activations=ledger.most_besides,
            step=ledger.most,
            drawing=max(self._draw(stage, net, device, size, dtype), self._decode(vae, device, size)),
            encoding=self._encode(vae, device, size),
        )

    def _inputs(self, batch: int, size: int, dtype: torch.dtype) -> tuple[Inputs, Tensor, Tensor]:
        side = size // self._base.downscale
        latents = torch.empty(batch, self._base.latent_channels, side, side, device="meta")
        context = self._context.expand(batch).to(dtype=dtype)
        settings, read = self._settings, side * self._settings.stride
        condition = torch.empty(batch, settings.condition_channels, read, read, device="meta")
        timestep = torch.zeros(batch, dtype=torch.long, device="meta")
        return Inputs(latents, context, condition), torch.empty_like(latents), timestep

    @torch.no_grad()
    def _draw(self, stage: _Stage, net: ControlNet, device: str, size: int, dtype: torch.dtype) -> int:
        with Ledger([*net.parameters(), *stage.network.parameters()]) as ledger, AsOn(device, None):
            inputs, noise, timestep = self._inputs(2, size, dtype)  # with and without the prompt
            hint = net.embed(inputs.condition[:1])
            residuals = net.residuals(noise, timestep, inputs.context, hint)
            with AsOn(device, stage.half):
                denoise(stage, noise.to(dtype), timestep, inputs.context, residuals.to(dtype=dtype))
        return ledger.most

    @torch.no_grad()
    def _decode(self, vae: Any, device: str, size: int) -> int:
        side = size // self._base.downscale
        with Ledger(vae.parameters()) as ledger, AsOn(device, None):
            vae.decode(torch.empty(1, self._base.latent_channels, side, side, device="meta", dtype=vae.dtype))
        return ledger.most

    @torch.no_grad()
    def _encode(self, vae: Any, device: str, size: int) -> int:
        with Ledger(vae.parameters()) as ledger, AsOn(device, None):
            vae.encode(torch.empty(1, 3, size, size, device="meta", dtype=vae.dtype))
        return ledger.most


class _Stage:
    """What a pass of training asks of a base."""

    def __init__(self, base: Base, network: nn.Module) -> None:
        self.network, self.backbone, self.objective = network, base.backbone, base.objective
        self.dtype = next(network.parameters()).dtype
        self.half: torch.dtype | None = None
        """The precision that an unlocked decoder computes in, where that is not its own."""

    def unlock(self) -> None:
        """Let the decoder be trained, in single precision, as `decoder.Decoder` does."""
        for parameter in self.backbone.decoder(self.network).values():
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
        self.half = None if self.dtype == torch.float32 else self.dtype


def ghost(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Copy a module without its numbers: on the meta device, in a precision, nothing recomputed."""
    tensors = [*module.parameters(), *module.buffers()]
    copies: dict[int, Any] = {id(tensor): torch.empty_like(tensor, device="meta") for tensor in tensors}
    for parameter in module.parameters():
        copies[id(parameter)] = nn.Parameter(copies[id(parameter)], parameter.requires_grad)
    copy: Any = deepcopy(module, copies)
    if hasattr(copy, "disable_gradient_checkpointing"):
        copy.disable_gradient_checkpointing()
    return nn.Module.to(copy, dtype=dtype)  # that of diffusers remarks on it
