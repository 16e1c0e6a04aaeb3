"""Parts of `controlnet dataset`: building a set of pictures."""
