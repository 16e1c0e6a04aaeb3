"""What stands in a base's file: its parts by the beginnings of the names, and what is left over.

model.diffusion_model.        U-Net
model_ema.                    its moving average, the names without their points
first_stage_model.            VAE
cond_stage_model.             text encoder of SD 1.x (transformer.) and SD 2.x (model.)
conditioner.embedders.0., 1.  text encoders of SDXL
control_model.                a ControlNet that was trained with it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, final

from controlnet.tensorfiles.piece import Piece

UNET: Final = "model.diffusion_model."
EMA: Final = "model_ema."
VAE: Final = "first_stage_model."
CONTROL: Final = "control_model."
TEXT: Final = "cond_stage_model."
TEXTS: Final = ("conditioner.embedders.0.", "conditioner.embedders.1.")
# The noise schedule, which follows from its settings, and what else a training leaves behind.
LEFTOVERS: Final = frozenset(
    {
        *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "logvar"),
        *("sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod"),
        *("sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped"),
        *("posterior_mean_coef1", "posterior_mean_coef2", "lvlb_weights", "scale_factor", "global_step"),
    }
)
V_MARK, ZERO_SNR_MARK = "v_pred", "ztsnr"  # empty tensors by which SDXL files say how they were trained
_BESIDE: Final = (CONTROL, "denoiser.", "embedding_manager.")


@final
@dataclass(frozen=True)
class Layout:
    """The parts of a file, their names without what they begin with."""

    path: Path
    unet: dict[str, Piece] = field(repr=False)
    ema: dict[str, Piece] = field(repr=False)
    vae: dict[str, Piece] = field(repr=False)
    texts: tuple[dict[str, Piece], ...] = field(repr=False)
    marks: frozenset[str]
    xl: bool  # whether the text encoders are named as SDXL names them
    strange: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, pieces: Mapping[str, Piece]) -> Self:
        """Divide a file's tensors; nothing is loaded."""
        parts = {
            beginning: {
                name.removeprefix(beginning): piece
                for name, piece in pieces.items()
                if name.startswith(beginning)
            }
            for beginning in (UNET, EMA, VAE, TEXT, *TEXTS)
        }
        marks = frozenset({V_MARK, ZERO_SNR_MARK} & pieces.keys())
        known = (*parts, *_BESIDE)
        strange = [
            name
            for name in pieces
            if not name.startswith(known) and name not in marks and name not in LEFTOVERS
        ]
        xl = any(parts[beginning] for beginning in TEXTS)
        texts = TEXTS if xl else (TEXT,)
        return cls(
            path=path,
            unet=parts[UNET],
            ema=parts[EMA],
            vae=parts[VAE],
            texts=tuple(parts[beginning] for beginning in texts),
            marks=marks,
            xl=xl,
            strange=tuple(strange),
        )
