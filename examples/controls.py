"""How much, when, where and which: settings of a control, and sums of several. Writes controls.png, two rows.

Above: a prompt alone; edges; the prompt under them; their weight falling to 0 on half the way; the edges in
the right half alone. Below: a pose; a prompt under it; edges; under both; each half under other edges.
"""

from dataclasses import replace

from PIL import Image

import controlnet as cn
from controlnet.sampling import Schedule
from controlnet.shapes import render
from controlnet.shapes.controls import draw_control

SIDE = 128
base = cn.load_base("shapes")
canny, openpose = cn.load_controlnet("canny", base), cn.load_controlnet("openpose", base)
left, right = Image.new("L", (SIDE, SIDE)), Image.new("L", (SIDE, SIDE))
left.paste(255, (0, 0, 80, SIDE))
right.paste(255, (80, 0, SIDE, SIDE))

solids, round_ones, person = (render(seed=2, index=index) for index in (4, 9, 11))
edges, others, torus = (cn.annotate("canny", view.image) for view in (solids, round_ones, person))
pose = draw_control(person, "openpose")  # or cn.annotate("openpose", photo)
field = "a blue cylinder and a green cone on a grass floor"
beach = "a person in a blue shirt and red trousers and a green torus on a sand floor"
falling = Schedule.parse("0:1|0.5:0")
held = cn.Control(canny, edges, mode="unbalanced")
posed = cn.Control(openpose, pose, mode="unbalanced")
ring, here, ball = (cn.Control(canny, e, mode="unbalanced", mask=right) for e in (torus, edges, others))

asked = [(field, []), (field, [held]), (field, [replace(held, weight=falling)]), (field, [here])]
asked += [(beach, [posed]), (beach, [posed, ring]), (field, [replace(held, mask=left), ball])]
made = [cn.generate(base, *one, steps=12, guidance_scale=3, seed=3)[0] for one in asked]
edges, torus, pose = (Image.fromarray(image) for image in (edges, torus, pose))
sheet = Image.new("RGB", (5 * SIDE, 2 * SIDE))
for place, picture in enumerate([made[0], edges, *made[1:4], pose, made[4], torus, *made[5:]]):
    sheet.paste(picture, (place % 5 * SIDE, place // 5 * SIDE))
sheet.save("controls.png")
