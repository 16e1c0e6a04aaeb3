"""A diffusers pipeline folder to a Base, part by part: importing a pipeline class would cost ten seconds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from controlnet.backbones._base import Base
from controlnet.backbones._imports import collector_paused
from controlnet.errors import CheckpointError

if TYPE_CHECKING:
    from controlnet.backbones._replace import Replaced

INDEX: Final = "model_index.json"
_CONFIG: Final = "config.json"
# What a folder may name; nothing else is ever imported on its word.
_HOMES = {
    "UNet2DConditionModel": "diffusers.models.unets.unet_2d_condition",
    "AutoencoderKL": "diffusers.models.autoencoders.autoencoder_kl",
    "AutoencoderTiny": "diffusers.models.autoencoders.autoencoder_tiny",
    "CLIPTextModel": "transformers.models.clip.modeling_clip",
    "CLIPTextModelWithProjection": "transformers.models.clip.modeling_clip",
    "CLIPTokenizer": "transformers.models.clip.tokenization_clip",
    "CLIPTokenizerFast": "transformers.models.clip.tokenization_clip",
}


def read_base(folder: Path, name: str, dtype: torch.dtype, replaced: Replaced) -> Base:
    """Read network, VAE, text encoders, tokenizers and scheduler settings, weights from safetensors only.

    Raises CheckpointError, which names the part, where one is missing, broken, of an unknown class, or not
    complete.
    """
    index = _read_json(folder / INDEX)
    suffixes = [suffix for suffix in ("", "_2") if index.get(f"text_encoder{suffix}", [None])[-1]]
    return Base(
        name=name,
        network=_model(folder, "unet", index, dtype),
        vae=replaced.vae(lambda: _read_json(folder / "vae" / _CONFIG)) or _model(folder, "vae", index, dtype),
        text_encoders=[
            replaced.text(slot, lambda part=f"text_encoder{suffix}": _text_settings(folder, part, index))
            or _model(folder, f"text_encoder{suffix}", index, dtype)
            for slot, suffix in enumerate(suffixes)
        ],
        tokenizers=[_tokenizer(folder, f"tokenizer{suffix}", index) for suffix in suffixes],
        scheduler_config=_read_json(folder / "scheduler" / "scheduler_config.json"),
    )


def read_part(folder: Path, part: str, dtype: torch.dtype) -> Any:
    """Read one model of a pipeline's folder, such as "vae"; CheckpointError as for the whole."""
    return _model(folder, part, _read_json(folder / INDEX), dtype)


def read_model(path: Path, dtype: torch.dtype) -> Any:
    """Read a model's own folder, whose config.json names its class; CheckpointError as for the whole."""
    config = _read_json(path / _CONFIG)
    name = config.get("_class_name") or (config.get("architectures") or [None])[0]
    return _load(path, _kind(name, f"{path / _CONFIG} names"), dtype)


def _text_settings(folder: Path, part: str, index: dict[str, Any]) -> dict[str, Any]:
    """Return what the tensors of another text encoder will not tell, from the folder's own."""
    config = _read_json(folder / part / _CONFIG)
    kept = {key: config[key] for key in ("hidden_act", "num_attention_heads") if key in config}
    layers = config.get("num_hidden_layers")
    return {"hidden_act": "quick_gelu", **kept, "class": index[part][-1], "most_layers": layers}


def _model(folder: Path, part: str, index: dict[str, Any], dtype: torch.dtype) -> Any:
    return _load(folder / part, _class(folder, part, index), dtype)


def _load(path: Path, kind: Any, dtype: torch.dtype) -> Any:
    of_diffusers = kind.__module__.startswith("diffusers.")
    stem = "diffusion_pytorch_model" if of_diffusers else "model"
    full = any(path.glob(f"{stem}.safetensors*")) or any(path.glob(f"{stem}-*.safetensors"))
    with _named(path), _quietly():
        model, report = kind.from_pretrained(
            str(path),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            variant=None if full else "fp16",
            **{"torch_dtype" if of_diffusers else "dtype": dtype},
        )
    # Buffers that older versions saved and that are now computed are no part of the weights.
    strange = {key for key in report["unexpected_keys"] if not key.endswith("position_ids")}
    missing = {*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])}
    if missing or strange:
        raise CheckpointError(
            f"{path}: weights do not fit their config.json: {_listed(missing)} missing or of another size, "
            f"{_listed(strange)} unexpected; wanted exactly the network's own: take both from one place"
        )
    return model


def _tokenizer(folder: Path, part: str, index: dict[str, Any]) -> Any:
    kind = _class(folder, part, index)
    if not any((folder / part / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        raise CheckpointError(
            f"{folder / part} has no vocab.json or tokenizer.json; wanted one: fetch it again"
        )
    with _named(folder / part):
        return kind.from_pretrained(str(folder / part), local_files_only=True)


def _class(folder: Path, part: str, index: dict[str, Any]) -> Any:
    kind = _kind((index.get(part) or [None, None])[-1], f"{folder}: {INDEX} gives {part}")
    if not (folder / part).is_dir():
        raise CheckpointError(
            f"{folder} has no folder {part}; wanted a complete diffusers pipeline: fetch it"
        )
    return kind


def _kind(name: Any, says: str) -> Any:
    if name not in _HOMES:
        raise CheckpointError(
            f"{says} the class {name}; wanted one of {', '.join(_HOMES)}: Stable Diffusion 1.x, 2.x and XL "
            "are known"
        )
    with collector_paused():
        return getattr(import_module(_HOMES[name]), name)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {path} ({type(error).__name__}); wanted a complete diffusers pipeline folder, with "
            "model_index.json, unet, vae, text_encoder, tokenizer and scheduler"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; wanted a JSON object")
    return content


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever a foreign reader raises on a broken folder into one line that names it."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise CheckpointError(
            f"cannot read {path} ({type(error).__name__}: {first}); wanted its config.json and whole "
            "safetensors: fetch the folder again"
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the loaders' own remarks and bars: what matters in them is checked, and raised, here."""
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()


def _listed(keys: set[str]) -> str:
    first = ", ".join(sorted(keys)[:3])
    return f"{len(keys)} keys ({first}{', …' if len(keys) > 3 else ''})" if keys else "none"
