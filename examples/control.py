"""The paper's idea at work: the edges of a scene hold, whatever the prompt says.

Writes control-edges.png and control-1.png to control-4.png: each prompt under weak, then under full control.
"""

from PIL import Image

import controlnet as cn
from controlnet.shapes import render

base = cn.load_base("shapes")
net = cn.load_controlnet("canny", base)
edges = cn.annotate("canny(low=100, high=200)", Image.fromarray(render(seed=2, index=10).image))
edges.save("control-edges.png")
prompts = ["a red cube on a sand floor", "a blue cube on a grass floor"]

pictures = []
for weight in (0.5, 1.0):
    control = cn.Control(net, edges, weight=weight, end=0.8)  # the last fifth of the steps is free
    pictures += cn.generate(base, prompts, [control], steps=12, guidance_scale=4.0, seed=7)
for number, picture in enumerate(pictures, start=1):
    picture.save(f"control-{number}.png")
