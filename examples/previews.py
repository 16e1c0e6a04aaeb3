"""A look at the latents as they take shape: writes previews.png, the picture after each third step."""

from PIL import Image
from torch import Tensor

import controlnet as cn
from controlnet.sampling import sample_latents
from controlnet.sampling.images import to_pictures

base = cn.load_base("shapes")
frames: list[Image.Image] = []


def preview(step: int, total: int, latents: Tensor) -> None:
    """Decode the latents in work; sampling goes on from where it is."""
    if step % 3 == 0 or step == total:
        frames.extend(to_pictures(base.decode_latents(latents)))


prompts = base.encode_prompts(["a red cube on a sand floor"])
sample_latents(base, prompts, seeds=[7], steps=12, guidance_scale=4.0, sampler="ddim", progress=preview)
strip = Image.new("RGB", (sum(frame.width for frame in frames), frames[0].height))
for number, frame in enumerate(frames):
    strip.paste(frame, (number * frame.width, 0))
strip.save("previews.png")
