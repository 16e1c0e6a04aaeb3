"""What costs much to compute and is wanted again: tensors on disk, by the content they were made from."""

from controlnet.data.cache.keys import caption_key, pixels_key
from controlnet.data.cache.store import TensorStore

__all__ = ["TensorStore", "caption_key", "pixels_key"]
