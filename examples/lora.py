"""A LoRA alone and with a control: here one by which red means blue. Writes lora.png, all in a row.

From left to right: a red cube, by the base; by the base with the LoRA; under edges; under both. The LoRA is
solved instead of trained, of rank 1: every cross attention reads h as h + (blue - red)(key·h).
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from safetensors.torch import save_file

import controlnet as cn
from controlnet.shapes import render

plain, taught = cn.load_base("shapes"), cn.load_base("shapes")
red, blue = (plain.encode_prompts([f"a {colour} cube"]).tokens[0, 2:4].mean(0) for colour in ("red", "blue"))
key = (red - blue) / (red - blue).square().sum()
factors = {}
for name, layer in plain.network.named_modules():
    if name.endswith(("attn2.to_k", "attn2.to_v")):
        factors[f"unet.{name}.lora_A.weight"] = key[None].clone()
        factors[f"unet.{name}.lora_B.weight"] = (layer.weight @ (blue - red))[:, None].detach().clone()
with TemporaryDirectory() as folder:
    save_file(factors, Path(folder) / "blue.safetensors")
    cn.add_lora(taught, Path(folder) / "blue.safetensors", weight=2.0)

edges = cn.annotate("canny", render(seed=2, index=13).image)
row = Image.new("RGB", (plain.sample_size * 4, plain.sample_size))
for column, base in enumerate((plain, taught, plain, taught)):
    held = cn.Control(cn.load_controlnet("canny", base), edges, mode="unbalanced")
    controls = [held] if column >= 2 else []
    [picture] = cn.generate(
        base, "a red cube on a grass floor", controls, steps=12, guidance_scale=4.0, seed=3
    )
    row.paste(picture, (column * base.sample_size, 0))
row.save("lora.png")
