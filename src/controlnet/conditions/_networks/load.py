"""Networks brought to life once in a process: strict loading, the best device, eval, no gradients."""

import pickle
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights
from controlnet.errors import CheckpointError

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")

_alive: dict[tuple[Hashable, Weights | None], Any] = {}
_loading = threading.RLock()


def network(kind: type[M], weights: Weights) -> M:
    """Return the network with the official weights: on the best device, float32, eval, without gradients.

    It is made by `kind()` and loaded once in a process. Where `kind` has a static method `from_official`, the
    file's tensors go through it first: dict in, dict with the module's own names out. Raises MissingWeights
    where the file is not on this machine, and CheckpointError where it does not fit exactly.
    """
    return _once(kind, weights, lambda: ready(filled(kind(), tensors(weights.find()), weights.name)))


def pretrained(build: Callable[[Path], T], weights: Weights) -> T:
    """Return what `build`, a function of a module, makes of a folder of weights; once in a process.

    A module in the result of `build` is to be passed through `ready` by it. Raises MissingWeights where the
    folder is not on this machine.
    """
    return _once(build, weights, lambda: build(weights.find()))


def place(maker: Callable[..., Any], made: Any, weights: Weights | None = None) -> None:
    """Let `network` and `pretrained` give `made` for this class or function, and for these weights or all.

    For tests, and for those who train a detector of their own.
    """
    _alive[maker, weights] = ready(made) if isinstance(made, nn.Module) else made


def forget() -> None:
    """Let go of all networks, those placed as well."""
    with _loading:
        _alive.clear()


def held() -> int:
    """Return how many bytes the networks take that are alive, as far as they are torch's."""
    modules = [made for made in list(_alive.values()) if isinstance(made, nn.Module)]
    return sum(p.numel() * p.element_size() for module in modules for p in module.parameters())


def device() -> torch.device:
    """Return where networks work: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ready(module: M) -> M:
    """Return the module fit for use: on the device, float32, eval, without gradients."""
    return module.to(device(), torch.float32).eval().requires_grad_(False)


def filled(module: M, state: Mapping[str, Tensor], name: str) -> M:
    """Load a file's tensors, mapped by the module's `from_official` if it has one, strictly.

    Raises CheckpointError that lists what is missing, unexpected, or of another shape.
    """
    mapped: Mapping[str, Tensor] = getattr(module, "from_official", dict)(dict(state))
    wanted = module.state_dict()
    problems = {
        "missing": wanted.keys() - mapped.keys(),
        "unexpected": mapped.keys() - wanted.keys(),
        "of another shape": {
            key for key in wanted.keys() & mapped.keys() if wanted[key].shape != mapped[key].shape
        },
    }
    if any(problems.values()):
        said = "; ".join(f"{what}: {_some(keys)}" for what, keys in problems.items() if keys)
        kind = type(module).__name__
        mend = "wanted the published file, as it is or converted by `controlnet weights convert`"
        raise CheckpointError(f"{name} does not fit {kind}: {said}; {mend}")
    module.load_state_dict(mapped)
    return module


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file, .safetensors or a pickle of tensors, on the CPU.

    Of a checkpoint that keeps its tensors under a key ("state_dict", "model" …) that part is returned; its
    other parts, such as the optimizer's, are not. Of several such parts each key is put after its part's name
    and a full stop, for `from_official` to choose. Raises CheckpointError for a file that is damaged, or that
    holds other objects: nothing but tensors is ever unpickled.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{path} is damaged or holds more than tensors ({reason}); wanted the published file"
        ) from error
    except Exception as error:  # of a damaged file the unpickler complains in many ways
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot read {path} ({reason}); it may be damaged: fetch it again") from error
    if _is_state(found):
        return dict(found)
    parts = found if isinstance(found, dict) else {}
    states: dict[str, dict[str, Tensor]] = {name: part for name, part in parts.items() if _is_state(part)}
    if not states:
        raise CheckpointError(f"{path} holds no set of named tensors; wanted the weights of one network")
    if len(states) == 1:
        return dict(*states.values())
    return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}


def to_input(image: Pixels) -> Float[Tensor, "1 3 h w"]:
    """Return a picture as RGB floats of 0 … 255 where the networks work."""
    return torch.from_numpy(image.copy()).to(device()).permute(2, 0, 1)[None].float()


def to_map(values: Float[Tensor, "h w"]) -> Pixels:
    """Return values of 0 … 1 as a grey map; fractions are cut off, as the published detectors do."""
    grey = (values.detach() * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))


def _once(maker: Hashable, weights: Weights, make: Callable[[], T]) -> T:
    for key in ((maker, weights), (maker, None)):
        if key in _alive:
            return _alive[key]
    with _loading:
        if (maker, weights) not in _alive:
            _alive[maker, weights] = make()
        return _alive[maker, weights]


def _is_state(part: object) -> bool:
    return isinstance(part, dict) and bool(part) and all(isinstance(value, Tensor) for value in part.values())


def _some(keys: Iterable[str], most: int = 4) -> str:
    listed = sorted(keys)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
