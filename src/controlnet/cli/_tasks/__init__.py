"""What `controlnet upscale` and `controlnet frames` do once their options are read."""
