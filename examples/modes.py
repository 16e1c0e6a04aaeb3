"""What counts more, the prompt or the control: the four modes on one seed. Writes modes.png, all in a row.

From left to right: balanced; prompt (soft weights, both passes of guidance); control (soft weights, only the
conditional pass); unbalanced (full weights, only the conditional pass).
"""

from PIL import Image

import controlnet as cn
from controlnet.sampling import MODES
from controlnet.shapes import render

base = cn.load_base("shapes")
net = cn.load_controlnet("canny", base)
edges = cn.annotate("canny", render(seed=2, index=12).image)

row = Image.new("RGB", (base.sample_size * len(MODES), base.sample_size))
for column, mode in enumerate(MODES):
    control = cn.Control(net, edges, mode=mode)
    [picture] = cn.generate(base, "a red cube", [control], steps=12, guidance_scale=4.0, seed=3)
    row.paste(picture, (column * base.sample_size, 0))
row.save("modes.png")
