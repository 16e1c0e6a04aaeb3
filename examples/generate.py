"""Pictures from prompts alone, with the embedded base: writes generate-1.png to generate-3.png."""

import controlnet as cn

base = cn.load_base("shapes")
prompts = ["a red cube on a sand floor", "a blue sphere and a green cone", "a yellow torus under a dusk sky"]
pictures = cn.generate(base, prompts, negative_prompt="", steps=12, guidance_scale=4.0, seed=7)
for number, picture in enumerate(pictures, start=1):
    picture.save(f"generate-{number}.png")
