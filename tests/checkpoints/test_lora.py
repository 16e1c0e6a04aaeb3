"""LoRA merged into a base: every layout of names against merges computed by hand."""

import json
from collections.abc import Callable
from copy import deepcopy
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from controlnet.backbones import Base, load_base
from controlnet.checkpoints.lora import add_lora
from controlnet.errors import CheckpointError, SettingError
from tests.helpers import tiny_base

QUERY = "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q"
OUT = "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0"
FEED = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"
CONV = "down_blocks.1.resnets.0.conv1"
PROJECTION = "mid_block.attentions.0.proj_in"  # a 1×1 convolution here
TEXT = "encoder.layers.0.self_attn.q_proj"
RANK = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Base:
    return load_base(folder)


@pytest.fixture
def base(loaded: Base) -> Base:
    return deepcopy(loaded)


def layer_of(base: Base, path: str) -> Any:
    root = base.text_encoders[0] if path == TEXT else base.network
    return root.get_submodule(path)


def factors(layer: Any, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random (out, rank) and (rank, in, …), as the layer's kind wants them."""
    out, *rest = layer.weight.shape
    generator = torch.Generator().manual_seed(seed)
    ones = [1] * (len(rest) - 1)
    return (
        torch.randn(out, RANK, *ones, generator=generator),
        torch.randn(RANK, *rest, generator=generator),
    )


def merged(layer: Any, up: Tensor, down: Tensor, scale: float) -> Tensor:
    """W + scale · Σr up[:, r] down[r], written out."""
    change = torch.einsum("or,ri->oi", up.flatten(1).double(), down.flatten(1).double())
    return (layer.weight.double() + scale * change.reshape(layer.weight.shape)).float()


def kohya(path: str) -> str:
    return (
        "lora_te_text_model_" + TEXT.replace(".", "_")
        if path == TEXT
        else f"lora_unet_{path.replace('.', '_')}"
    )


def diffusers(path: str) -> str:
    return f"text_encoder.text_model.{TEXT}" if path == TEXT else f"unet.{path}"


def old(path: str) -> str:
    """diffusers before it knew peft: to_q_lora and to_out_lora of a processor."""
    if path == TEXT:
        return diffusers(path).replace("q_proj", "to_q_lora")
    name = diffusers(path).removesuffix(".0")
    if name.endswith(("to_q", "to_out")):
        head, _, last = name.rpartition(".")
        return f"{head}.processor.{last}_lora"
    return f"{diffusers(path)}.lora"


def original(path: str) -> str:
    """By the names of the original code, with which SDXL's are written."""
    names = {
        QUERY: "input_blocks_2_1_transformer_blocks_0_attn1_to_q",
        OUT: "output_blocks_3_1_transformer_blocks_0_attn2_to_out_0",
        FEED: "middle_block_1_transformer_blocks_0_ff_net_0_proj",
        CONV: "input_blocks_4_0_in_layers_2",
        PROJECTION: "middle_block_1_proj_in",
    }
    return f"lora_unet_{names[path]}" if path in names else kohya(path).replace("lora_te_", "lora_te1_")


Name = Callable[[str], str]
LAYOUTS: dict[str, tuple[Name, str, str]] = {
    "kohya": (kohya, ".lora_up.weight", ".lora_down.weight"),
    "kohya, original names": (original, ".lora_up.weight", ".lora_down.weight"),
    "diffusers": (diffusers, ".lora_B.weight", ".lora_A.weight"),
    "diffusers, adapter named": (diffusers, ".lora_B.default.weight", ".lora_A.default.weight"),
    "diffusers, older": (diffusers, ".lora.up.weight", ".lora.down.weight"),
    "diffusers, layers": (diffusers, ".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    "diffusers, processors": (old, ".up.weight", ".down.weight"),
}


@pytest.mark.parametrize("alpha", [None, 1.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(base: Base, tmp_path: Path, layout: str, alpha: float | None) -> None:
    name, up_end, down_end = LAYOUTS[layout]
    tensors: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    for seed, path in enumerate((QUERY, OUT, FEED, CONV, PROJECTION, TEXT)):
        layer = layer_of(base, path)
        up, down = factors(layer, seed)
        tensors |= {f"{name(path)}{up_end}": up, f"{name(path)}{down_end}": down}
        if alpha is not None:
            tensors[f"{name(path)}.alpha"] = torch.tensor(alpha)
        wanted[path] = merged(layer, up, down, 0.7 * (1 if alpha is None else alpha / RANK))
    save_file(tensors, tmp_path / "a.safetensors")
    before = {id(p): p.detach().clone() for p in everything(base)}
    add_lora(base, tmp_path / "a.safetensors", weight=0.7)
    for path, tensor in wanted.items():
        torch.testing.assert_close(layer_of(base, path).weight.data, tensor, rtol=1e-5, atol=1e-5)
    touched = {id(layer_of(base, path).weight) for path in wanted}
    changed = {id(p) for p in everything(base) if not torch.equal(p, before[id(p)])}
    assert changed == touched
    assert not any(p.requires_grad for p in everything(base))


def everything(base: Base) -> list[nn.Parameter]:
    return [p for part in (base.network, base.vae, *base.text_encoders) for p in part.parameters()]


def one(base: Base, path: str = QUERY, name: Name = kohya) -> dict[str, Tensor]:
    up, down = factors(layer_of(base, path))
    return {f"{name(path)}.lora_up.weight": up, f"{name(path)}.lora_down.weight": down}


def saved(path: Path, tensors: dict[str, Tensor], notes: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, notes)
    return path


def test_several_add_up_and_a_negative_weight_takes_back(base: Base, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", one(base))
    before = layer_of(base, QUERY).weight.clone()
    add_lora(base, path, 0.5)
    once = layer_of(base, QUERY).weight - before
    add_lora(base, path, 0.25)
    torch.testing.assert_close(layer_of(base, QUERY).weight - before, 1.5 * once, rtol=1e-4, atol=1e-5)
    add_lora(base, path, -0.75)
    torch.testing.assert_close(layer_of(base, QUERY).weight.data, before, rtol=0, atol=1e-5)


def test_pickles_are_read_too(base: Base, tmp_path: Path) -> None:
    tensors = one(base)
    torch.save(tensors, tmp_path / "a.pt")
    wanted = merged(layer_of(base, QUERY), *tensors.values(), 1.0)
    add_lora(base, tmp_path / "a.pt")
    torch.testing.assert_close(layer_of(base, QUERY).weight.data, wanted, rtol=1e-5, atol=1e-5)


def test_the_base_keeps_its_precision(folder: Path, tmp_path: Path) -> None:
    half = load_base(folder, dtype=torch.bfloat16)
    path = saved(tmp_path / "a.safetensors", {key: t.half() for key, t in one(half).items()})
    before = layer_of(half, QUERY).weight.clone()
    add_lora(half, path)
    assert half.dtype == torch.bfloat16 and not torch.equal(layer_of(half, QUERY).weight, before)


def adapter(folder: Path, base: Base, **settings: Any) -> Tensor:
    """Write a folder of peft, and return the change that it means at scale 1."""
    up, down = factors(layer_of(base, QUERY))
    folder.mkdir()
    name = f"base_model.model.{QUERY}"
    tensors = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": 3, **settings}))
    return up @ down


SCALES = {
    "plain": ({}, 3 / RANK),
    "rank-stabilised": ({"use_rslora": True}, 3 / sqrt(RANK)),
    "by layer": ({"alpha_pattern": {"attn1.to_q": 8}}, 8 / RANK),
    "of another layer": ({"alpha_pattern": {"attn1.to_k": 8}}, 3 / RANK),
    "by whole name": ({"alpha_pattern": {f"^{QUERY}": 8}}, 8 / RANK),
}


@pytest.mark.parametrize("name", SCALES)
def test_folders_of_peft(base: Base, tmp_path: Path, name: str) -> None:
    settings, scale = SCALES[name]
    change = adapter(tmp_path / "peft", base, **settings)
    wanted = layer_of(base, QUERY).weight + scale * change
    add_lora(base, tmp_path / "peft")
    torch.testing.assert_close(layer_of(base, QUERY).weight.data, wanted.data, rtol=1e-5, atol=1e-5)


def test_alpha_in_the_notes_of_diffusers(base: Base, tmp_path: Path) -> None:
    up, down = factors(layer_of(base, QUERY))
    tensors = {f"unet.{QUERY}.lora_A.weight": down, f"unet.{QUERY}.lora_B.weight": up}
    notes = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 6, "unet.r": RANK})}
    (tmp_path / "made").mkdir()
    saved(tmp_path / "made" / "pytorch_lora_weights.safetensors", tensors, notes)
    wanted = merged(layer_of(base, QUERY), up, down, 6 / RANK)
    add_lora(base, tmp_path / "made")
    torch.testing.assert_close(layer_of(base, QUERY).weight.data, wanted, rtol=1e-5, atol=1e-5)


def without(tensors: dict[str, Tensor], end: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if not key.endswith(end)}


REFUSED: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "another layer": (
        lambda t: t | {"lora_unet_middle_9_to_q.lora_up.weight": torch.zeros(1, 1)},
        "middle_9_to_q",
    ),
    "LoHa": (lambda t: t | {"lora_unet_x.hada_w1_a": torch.zeros(1, 1)}, r"1 tensors .*hada_w1_a"),
    "DoRA": (lambda t: t | {f"{kohya(QUERY)}.dora_scale": torch.zeros(1, 1)}, "dora_scale"),
    "a second text encoder": (
        lambda t: t | {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.zeros(1, 1)},
        "lora_te2_text",
    ),
    "no down": (lambda t: without(t, "down.weight"), "only a part of lora_unet_down_blocks_0"),
    "only alpha": (lambda t: {f"{kohya(QUERY)}.alpha": torch.ones(())}, "only a part"),
    "nothing": (lambda t: {}, "holds nothing"),
    "another width": (
        lambda t: {key: torch.cat([x, x], -1) for key, x in t.items()},
        r"factors \(8, 4\), \(2, 16\)|this base's layer",
    ),
    "a vector": (lambda t: {key: x.flatten() for key, x in t.items()}, "this base's layer is"),
    "many alphas": (lambda t: t | {f"{kohya(QUERY)}.alpha": torch.ones(2)}, "alpha of .* one number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(
    base: Base, tmp_path: Path, name: str
) -> None:
    change, message = REFUSED[name]
    before = base.fingerprint()
    path = saved(tmp_path / "a.safetensors", change(one(base)))
    with pytest.raises(CheckpointError, match=message) as caught:
        add_lora(base, path)
    assert "\n" not in str(caught.value) and base.fingerprint() == before


def test_other_mistakes(base: Base, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        add_lora(base, tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="none of pytorch_lora_weights"):
        add_lora(base, tmp_path)
    with pytest.raises(SettingError, match="weight of nan"):
        add_lora(base, tmp_path, float("nan"))
    adapter(tmp_path / "dora", base, use_dora=True)
    with pytest.raises(CheckpointError, match="DoRA"):
        add_lora(base, tmp_path / "dora")
    adapter(tmp_path / "pattern", base, alpha_pattern={"(a+)+$": 3})
    with pytest.raises(CheckpointError, match="alpha_pattern"):
        add_lora(base, tmp_path / "pattern")
    adapter(tmp_path / "bare", base)
    (tmp_path / "bare" / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"wanted .*adapter_config.json"):
        add_lora(base, tmp_path / "bare")
