"""A short name for all that a picture is made from, equal only where the picture would be the same."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL.Image import Image
from torch import Tensor, nn

from controlnet.conditions._image import to_array
from controlnet.core.origin import fingerprint


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


class Digests:
    """Makes digests; reads the weights of each network only once, so that thousands of frames cost little."""

    def __init__(self) -> None:
        self._networks: dict[int, tuple[nn.Module, str]] = {}  # held, so that no id comes twice

    def of(self, *values: object) -> str:
        """Return 16 hexadecimal digits of any settings, pictures, tensors and networks."""
        found = sha256()
        for value in values:
            self._add(found, value)
        return found.hexdigest()[:16]

    def _add(self, found: _Hash, value: Any) -> None:
        found.update(f"<{type(value).__name__}>".encode())
        if isinstance(value, nn.Module):
            if id(value) not in self._networks:
                self._networks[id(value)] = value, fingerprint(value)
            found.update(self._networks[id(value)][1].encode())
            self._add(found, getattr(value, "settings", None))
        elif isinstance(value, Tensor):
            self._add(found, value.detach().cpu().float().numpy())
        elif isinstance(value, (Path, Image)):
            self._add(found, to_array(value))
        elif isinstance(value, np.ndarray):
            found.update(f"{value.dtype}{value.shape}".encode())
            found.update(np.ascontiguousarray(value).tobytes())
        elif is_dataclass(value) and not isinstance(value, type):
            self._add(found, {field.name: getattr(value, field.name) for field in fields(value)})
        elif isinstance(value, Mapping):
            for key in sorted(value):
                self._add(found, key)
                self._add(found, value[key])
        elif isinstance(value, (list, tuple)):
            for one in value:
                self._add(found, one)
        else:
            found.update(repr(value).encode())
