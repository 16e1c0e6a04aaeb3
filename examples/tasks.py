"""What else one pipeline does, all with the embedded base. Writes tasks.png, two rows of pictures.

Above: a scene; other colours, begun from it; a part painted anew, blending at the edge; 64 pixels grown at
both sides. Below: edges; a first pass under them at 128 pixels; the second at 256; the scene enlarged by
Lanczos alone; and the same painted over in tiles of 128 pixels.
"""

from PIL import Image

import controlnet as cn
from controlnet.shapes import render

STEPS, SIDE = 12, 256

base = cn.load_base("shapes")
net = cn.load_controlnet("canny", base)
scene = Image.fromarray(render(seed=2, index=5).image)
mask = Image.new("L", scene.size)
mask.paste(255, (46, 0, 128, 128))
sand = "a sand floor under a sunset sky"
large = scene.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
outlines = cn.annotate("canny", scene)
small = cn.Control(net, outlines, mode="unbalanced")
edges = cn.Control(net, cn.annotate("canny", large), mode="unbalanced")

other = f"a red cylinder and a blue torus on {sand}"
[begun] = cn.generate(base, other, image=scene, strength=0.5, steps=STEPS, guidance_scale=4.0)
[half] = cn.inpaint(base, f"a red cube on {sand}", scene, mask, feather=6, steps=STEPS, guidance_scale=4.0)
[wide] = cn.outpaint(base, sand, scene, left=64, right=64, steps=STEPS, guidance_scale=4.0)
same = f"a green cylinder and a purple torus on {sand}"
[once] = cn.generate(base, same, [small], steps=STEPS, guidance_scale=3.0, seed=3)
[twice] = cn.hires(base, same, [small], [edges], strength=0.3, steps=STEPS, guidance_scale=3.0, seed=3)
tiled = cn.upscale(base, same, scene, [edges], strength=0.3, steps=STEPS, guidance_scale=3.0)

sheet = Image.new("RGB", (5 * SIDE, 2 * SIDE), "white")
for place, picture in enumerate([scene, begun, half, wide, None, outlines, once, twice, large, tiled]):
    if picture is not None:  # the wide one takes two places
        shown = picture.resize((picture.width * SIDE // picture.height, SIDE), Image.Resampling.NEAREST)
        sheet.paste(shown, (place % 5 * SIDE, place // 5 * SIDE))
sheet.save("tasks.png")
