"""A sequence under control, each frame under its own edges, all from one seed. Writes frames.png.

Above are the frames, a window that moves over a wide scene; below the pictures. With a folder that stays, a
run that was stopped goes on where it was.
"""

from tempfile import TemporaryDirectory

from PIL import Image

import controlnet as cn
from controlnet.shapes import render

base = cn.load_base("shapes")
net = cn.load_controlnet("canny", base)
scene = Image.fromarray(render(seed=2, index=10, size=192).image)
frames = [scene.crop((left, 48, left + 128, 176)) for left in (0, 16, 32, 48)]

sheet = Image.new("RGB", (len(frames) * 128, 256))
with TemporaryDirectory() as folder:
    files = cn.generate_frames(
        base,
        "a blue cube on a grass floor",
        frames,
        folder,
        lambda frame: [cn.Control(net, cn.annotate("canny", frame))],
        seed=7,
        steps=12,
        guidance_scale=4.0,
    )
    for column, (frame, file) in enumerate(zip(frames, files, strict=True)):
        sheet.paste(frame, (column * 128, 0))
        with Image.open(file) as picture:
            sheet.paste(picture, (column * 128, 128))
sheet.save("frames.png")
