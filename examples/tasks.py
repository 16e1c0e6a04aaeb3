"""What else one pipeline does, all with the embedded base. Writes tasks.png, two rows of pictures.

Above: a scene; a part of it painted anew, blending at the edge; the scene grown by 64 pixels at both sides.
Below: its edges; two passes under them, at 128 and at 256 pixels; the scene enlarged by Lanczos alone; and
the same painted over in tiles of 128 pixels.
"""

from PIL import Image

import controlnet as cn
from controlnet.shapes import render

STEPS, SIDE = 12, 256

base = cn.load_base("shapes")
net = cn.load_controlnet("canny", base)
view = render(seed=2, index=5)
scene = Image.fromarray(view.image)
mask = Image.new("L", scene.size)
mask.paste(255, (46, 0, 128, 128))
sand = "a sand floor under a sunset sky"
large = scene.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
outlines = cn.annotate("canny", scene)
small_edges, edges = cn.Control(net, outlines), cn.Control(net, cn.annotate("canny", large))

[half] = cn.inpaint(base, f"a red sphere on {sand}", scene, mask, feather=6, steps=STEPS, guidance_scale=4.0)
[wide] = cn.outpaint(base, sand, scene, left=64, right=64, steps=STEPS, guidance_scale=4.0)
[twice] = cn.hires(base, view.caption, [small_edges], strength=0.4, steps=STEPS, guidance_scale=4.0)
tiled = cn.upscale(base, view.caption, scene, [edges], strength=0.3, steps=STEPS, guidance_scale=4.0)

sheet = Image.new("RGB", (4 * SIDE, 2 * SIDE), "white")
for place, picture in enumerate([scene, half, wide, outlines, twice, large, tiled]):
    shown = picture.resize((picture.width * SIDE // picture.height, SIDE), Image.Resampling.NEAREST)
    sheet.paste(shown, (place * SIDE, 0) if place < 3 else ((place - 3) * SIDE, SIDE))
sheet.save("tasks.png")
