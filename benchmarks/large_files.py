"""What memory large files take: a whole checkpoint of 5.7 GB converted, and a Control-LoRA merged or kept.

The files are made up, of the sizes that the published ones have for Stable Diffusion 1.5. Each thing is done
in a process of its own, whose peak is read at its end. It writes up to 12 GB beside the other temporary files
and takes minutes, so `make bench` leaves it out.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch

from benchmarks.checkpoints import CLIP, ROOT
from benchmarks.frame import Figure, Report, median
from controlnet.backbones.unet import UNet
from controlnet.checkpoints.io import write_pieces
from controlnet.checkpoints.keys import to_diffusers
from controlnet.checkpoints.published import named_ldm, of_copy
from controlnet.core.controlnet import ControlNet
from controlnet.tensorfiles.piece import Piece, zeros

WHOLE = 5_710_000_000  # bytes: control_sd15_canny.pth and its like, the control among them
RANK = 64
_NUMBERS = torch.rand(2**20, generator=torch.Generator().manual_seed(0)) - 0.5
# What is beyond the process's own start: Python, torch and diffusers.
_FRAME = """
import json, resource, sys, time
import torch, controlnet.backbones._hub, diffusers.models.unets.unet_2d_condition
def held():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start = held()
{body}
print(json.dumps(found))
"""
CONVERT = _FRAME.format(
    body="""
from controlnet.checkpoints import convert
convert(sys.argv[1], sys.argv[2], to="ldm", precision="fp16")
found = {"peak": held(), "start": start, "processor": time.process_time()}
"""
)
LORA = _FRAME.format(
    body="""
from benchmarks.checkpoints import CLIP
from controlnet.backbones.unet import UNet
from controlnet.checkpoints import load_controlnet
network = UNet().build(CLIP).to_empty(device="cpu")
with torch.no_grad():
    [parameter.fill_(0.01) for parameter in network.parameters()]
base = held()
net = load_controlnet(sys.argv[1], base=network, merge=sys.argv[2] == "merged")
context, hint = torch.zeros(2, 77, 768), torch.zeros(1, 320, 64, 64)
with torch.no_grad():
    began = time.process_time()
    net.residuals(torch.zeros(2, 4, 64, 64), 10, context, hint)
found = {"peak": held() - base, "processor": time.process_time() - began}
"""
)


def write_whole(path: Path, size: int) -> int:
    """Write a checkpoint of about `size` bytes with a control in it, as torch.save does; return its bytes."""
    control = named_ldm(_control())
    rest, filler = size - sum(piece.bytes for piece in control.values()), 64 * 2**20
    pieces = {f"control_model.{name}": piece for name, piece in control.items()}
    pieces |= {f"model.diffusion_model.{i}.weight": _made((filler // 4,)) for i in range(rest // filler)}
    mapped = path.with_suffix(".safetensors")
    write_pieces(mapped, pieces, {})
    code = "import sys, torch, safetensors.torch as s; torch.save(s.load_file(sys.argv[1]), sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(mapped), str(path)], check=True)
    mapped.unlink()
    return path.stat().st_size


def write_lora(path: Path, rank: int = RANK) -> int:
    """Write a Control-LoRA in half precision; return its bytes."""
    found: dict[str, Piece] = {}
    for name, piece in _control().items():
        rows, *columns = piece.shape
        if of_copy(name) and columns and rank * (rows + prod(columns)) < prod(piece.shape):
            module, ones = name.removesuffix(".weight"), (1,) * (len(columns) - 1)
            found |= {f"{module}.up": _made((rows, rank, *ones)), f"{module}.down": _made((rank, *columns))}
        else:
            found[name] = piece
    marked = {**named_ldm(found), "lora_controlnet": zeros((0,), torch.float16)}
    write_pieces(path, marked, {}, torch.float16)
    return path.stat().st_size


def measure(repeats: int = 1) -> Report:
    """Convert the whole checkpoint, and run a Control-LoRA both ways."""
    ways = ("merged", "kept")
    with tempfile.TemporaryDirectory() as place:
        whole, half, lora = (Path(place) / name for name in ("whole.pth", "half.safetensors", "lora"))
        size = write_whole(whole, WHOLE)
        conversions = [_done(CONVERT, whole, half) for _ in range(repeats)]
        whole.unlink()
        small = write_lora(lora)
        turns = [{way: _done(LORA, lora, way) for way in ways} for _ in range(repeats)]
    peak = {way: median([turn[way]["peak"] for turn in turns]) / 1e9 for way in ways}
    slower = median([turn["kept"]["processor"] / turn["merged"]["processor"] for turn in turns])
    return Report(
        "large_files",
        "What memory do large files take?",
        [
            Figure("whole checkpoint", size / 1e9, "GB"),
            Figure(
                "converted to ldm, fp16: peak",
                median([each["peak"] for each in conversions]) / 1e9,
                "GB",
                (None, 3.0),
                "contract",
            ),
            Figure("of which before", median([each["start"] for each in conversions]) / 1e9, "GB"),
            Figure("processor time", median([each["processor"] for each in conversions]), "s"),
            Figure(f"Control-LoRA of rank {RANK}", small / 1e9, "GB"),
            *(Figure(f"{way}: peak beyond the base", peak[way], "GB") for way in ways),
            Figure("kept / merged: processor time of a pass, two of 512×512", slower, ""),
        ],
    )


def _control() -> dict[str, Piece]:
    """Make up the pieces of a ControlNet, by diffusers' names."""
    net = ControlNet.from_base(UNet().build(CLIP))
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    return {their: _made(shapes[own]) for own, their in to_diffusers(net).items()}


def _made(shape: tuple[int, ...]) -> Piece:
    size = prod(shape)
    repeated = -(-size // _NUMBERS.numel())
    return Piece(shape, torch.float32, lambda: _NUMBERS.repeat(repeated)[:size].reshape(shape))


def _done(code: str, *arguments: object) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)
