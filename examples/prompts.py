"""What prompts can be told, on one seed. Writes prompts.png, all in a row.

From left to right: a red cube and a blue cylinder; the cylinder at weight .3; at weight 1.6; "a clear sky" as
negative prompt; and "a gem", a word that an embedding has added.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from safetensors.torch import save_file

import controlnet as cn

base = cn.load_base("shapes")
with TemporaryDirectory() as folder:  # a textual inversion, of two vectors that the text encoder has anyway
    tokens = base.tokenizers[0]("red cube", return_tensors="pt").input_ids[0, 1:-1]
    vectors = base.text_encoders[0].get_input_embeddings()(tokens).detach()
    save_file({"emb_params": vectors}, Path(folder) / "gem.safetensors")
    cn.add_embedding(base, Path(folder) / "gem.safetensors")

prompts = [
    ("a red cube and a blue cylinder on a grass floor", ""),
    ("a red cube and a (blue cylinder:.3) on a grass floor", ""),
    ("a red cube and a (blue cylinder:1.6) on a grass floor", ""),
    ("a red cube and a blue cylinder on a grass floor", "a clear sky"),
    ("a gem on a grass floor", ""),
]
row = Image.new("RGB", (base.sample_size * len(prompts), base.sample_size))
for column, (prompt, negative) in enumerate(prompts):
    [picture] = cn.generate(base, prompt, negative_prompt=negative, steps=12, guidance_scale=4.0, seed=3)
    row.paste(picture, (column * base.sample_size, 0))
row.save("prompts.png")
