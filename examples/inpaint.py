"""A part of a picture painted anew; the rest stays as it is, pixel for pixel. Writes inpaint.png."""

import numpy as np

import controlnet as cn
from controlnet.shapes import render

base = cn.load_base("shapes")
scene = render(seed=2, index=5)
mask = np.zeros((128, 128), dtype=np.uint8)
mask[:, :64] = 255  # white is painted anew
[picture] = cn.generate(base, "a red cube", image=scene.image, mask=mask, steps=12, guidance_scale=4.0)
picture.save("inpaint.png")
