"""What spares a device's memory: parts that leave it while they do not work, a VAE that works in tiles."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from controlnet.backbones import Base, _base, load_base
from controlnet.backbones._tiles import tiled
from controlnet.errors import SettingError


class Moves:
    """Notes where parts were sent in place of sending them, and where all were at each run of a part."""

    def __init__(self, base: Base) -> None:
        self.parts = {"text": base.text_encoders[0], "vae": base.vae}
        self.where = dict.fromkeys(self.parts, "device")
        self.runs: list[tuple[str, dict[str, str]]] = []

    def move(self, part: nn.Module, device: Any) -> None:
        name = next(name for name, own in self.parts.items() if own is part)
        self.where[name] = "away" if device == "away" else "device"

    @contextmanager
    def watched(self, base: Base) -> Iterator[None]:
        places = {
            "text": base.text_encoders[0],
            "network": base.network,
            "vae": base.vae.decoder,
            "vae encoder": base.vae.encoder,
        }
        with ExitStack() as stack:
            for name, module in places.items():
                stack.callback(
                    module.register_forward_pre_hook(
                        lambda module, args, name=name: self.runs.append((name, dict(self.where)))
                    ).remove
                )
            yield


@pytest.fixture
def base(folder: Path) -> Base:
    return load_base(folder)


@pytest.fixture
def moves(base: Base, monkeypatch: pytest.MonkeyPatch) -> Moves:
    """A machine without a second device can be asked for the order of moves, not for the moves themselves."""
    moves = Moves(base)
    monkeypatch.setattr(_base, "AWAY", "away")
    monkeypatch.setattr(_base, "_move", moves.move)
    return moves


def test_parts_are_on_the_device_only_while_they_work(base: Base, moves: Moves) -> None:
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1

    def work() -> Tensor:
        context = base.encode_prompts(["a cat"])
        latents = base.encode_pixels(pixels)
        with torch.no_grad():
            base.network(latents, 3, context.tokens)
            return base.decode_latents(latents)

    plain = work()
    base.offload()
    assert moves.where == {"text": "away", "vae": "away"}
    with moves.watched(base):
        assert torch.equal(work(), plain)
    there = {"text": "away", "vae": "away"}
    assert moves.runs == [
        ("text", there | {"text": "device"}),
        ("vae encoder", there | {"vae": "device"}),
        ("network", there),
        ("vae", there | {"vae": "device"}),
    ]


def test_a_part_that_fails_leaves_too(base: Base, moves: Moves) -> None:
    base.offload()
    with pytest.raises(RuntimeError):
        base.decode_latents(torch.rand(1, 3, 4, 4))  # of three channels
    assert moves.where["vae"] == "away"


def test_no_gradient_passes_an_offloaded_vae(base: Base, moves: Moves) -> None:
    base.offload()
    with pytest.raises(SettingError, match="without offload"):
        base.decode_latents(torch.rand(1, 4, 8, 8, requires_grad=True))


def test_offloaded_parts_stay_where_they_are(folder: Path) -> None:
    """With the meta device for the network's, since every machine has that one."""
    base = load_base(folder, offload=True).to("meta", torch.bfloat16)
    assert base.device.type == "meta"
    for part in (*base.text_encoders, base.vae):
        assert {p.device.type for p in part.parameters()} == {"cpu"}
        assert next(part.parameters()).dtype == torch.bfloat16
    assert {p.device.type for p in load_base(folder).to("meta").vae.parameters()} == {"meta"}


def test_pictures_up_to_a_tile_are_the_same_and_larger_ones_near(folder: Path) -> None:
    whole, parts = load_base(folder), load_base(folder, vae_tile=64)
    small, large = (
        torch.rand(1, 3, *sides, generator=torch.manual_seed(1)) for sides in ((64, 64), (136, 80))
    )
    for pixels, equal in ((small, True), (large, False)):
        latents, tiles = (base.encode_pixels(pixels) for base in (whole, parts))
        decoded, blended = (base.decode_latents(latents) for base in (whole, parts))
        assert tiles.shape == latents.shape and blended.shape == decoded.shape
        assert torch.equal(tiles, latents) is equal and torch.equal(blended, decoded) is equal
        mean, std = whole.posterior(pixels)[1], parts.posterior(pixels)[1]
        assert (std - mean).abs().max() < mean.abs().max()
    assert torch.equal(parts.tile_vae(None).decode_latents(latents), decoded)


@pytest.mark.parametrize("scale", [8, 1 / 8])
def test_maps_that_tiles_do_not_change_come_out_as_they_are(scale: float) -> None:
    """Up by repeating and down by picking, which look at no neighbours."""
    sides: list[tuple[int, ...]] = []

    def run(part: Tensor) -> Tensor:
        sides.append(tuple(part.shape[-2:]))
        if scale > 1:
            return part.repeat_interleave(8, -1).repeat_interleave(8, -2)
        return part[..., ::8, ::8]

    x = torch.rand(2, 3, *((13, 40) if scale > 1 else (104, 320)))
    tile = 16 if scale > 1 else 128
    found = tiled(run, x, tile, tile // 4, scale)
    low = 13 if scale > 1 else 104
    assert set(sides) == {(low, tile)} and len(sides) == 3
    torch.testing.assert_close(found, run(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [0, 32, 72])
def test_tiles_of_senseless_sides_are_refused(base: Base, side: int) -> None:
    with pytest.raises(SettingError, match="multiple of 32"):
        base.tile_vae(side)
