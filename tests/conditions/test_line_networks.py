"""The networks of edges and lines: files of the published layouts load strictly, and the arithmetic stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from controlnet.conditions import condition
from controlnet.conditions._networks import load
from controlnet.conditions._networks.erika import Erika
from controlnet.conditions._networks.hed import HED
from controlnet.conditions._networks.lineart import LineArt
from controlnet.conditions._networks.mlsd import MLSD
from controlnet.conditions._networks.pidinet import PiDiNet
from controlnet.conditions._networks.pix2pix import Anime2Sketch
from controlnet.conditions._weights import Weights
from controlnet.errors import CheckpointError, MissingWeights
from tests.helpers import official


@dataclass(frozen=True)
class Published:
    """A network, its published file, and what it computed of a random picture when it was compared.

    With these very weights (`official`, seed 0) and pictures it agreed with the published network, to the bit
    but for PiDiNet (4e-6).
    """

    kind: type[nn.Module]
    megabytes: float
    dropped: str  # a key of the file
    lacking: str  # and what the module calls it
    shape: tuple[int, ...]  # of what comes out
    values: tuple[float, ...]  # the first, one of the middle, the last, mean, deviation
    given: tuple[int, ...] = (1, 3, 64, 96)
    upto: float = 255.0
    half: bool = False


PUBLISHED = {
    "HED": Published(
        HED,
        29.44,
        "block3.convs.1.bias",
        "block3.convs.1.bias",
        (1, 64, 96),
        (-13.28575, -7.41899, -8.794806, -9.8119, 8.307622),
        half=True,
    ),
    "PiDiNet": Published(
        PiDiNet,
        2.84,
        "dilations.2.conv2_3.weight",
        "sides.2.seen3.weight",
        (1, 64, 96),
        (0.2376678, 0.2455405, -0.3477335, -0.03610632, 0.4136369),
        upto=1.0,
    ),
    "MLSD_large": Published(
        MLSD,
        6.24,
        "block18.conv2.1.running_var",
        "block18.conv2.1.running_var",
        (1, 9, 32, 48),
        (0.0280867, -0.04752437, -0.05831402, 0.0271541, 0.1224904),
    ),
    "lineart": Published(
        LineArt,
        17.16,
        "model2.1.conv_block.5.weight",
        "blocks.1.layers.5.weight",
        (1, 64, 96),
        (0.3747272, 0.6006452, 0.5990793, 0.5192387, 0.1339906),
    ),
    "lineart_anime": Published(
        Anime2Sketch,
        217.6,
        "model.model.1.model.3.model.5.bias",
        "up.2.bias",
        (1, 256, 256),
        (0.9281887, 0.5320492, 0.2816042, 0.6625739, 0.4076562),
        given=(1, 3, 256, 256),
    ),
    "erika": Published(
        Erika,
        172.5,
        "block6.model.0.shortcut.model.0.weight",
        "stages.6.0.beside.weight",
        (1, 64, 96),
        (14947.38, 288795.8, -1289.099, 135770.9, 70976.52),
        given=(1, 1, 64, 96),
    ),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def file(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Give each published file as random tensors."""
    yield request.param, official(request.param)


def test_the_published_layout_is_the_files_size(file: tuple[str, dict[str, Tensor]]) -> None:
    name, state = file
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values()) / 1e6
    assert size / (2 if PUBLISHED[name].half else 1) == pytest.approx(PUBLISHED[name].megabytes, rel=0.005)


@torch.no_grad()
def test_it_computes_what_it_did_when_it_was_compared(file: tuple[str, dict[str, Tensor]]) -> None:
    name, state = file
    known = PUBLISHED[name]
    before = "module." if prefixed(name) else ""
    network = load.filled(known.kind(), {before + key: value for key, value in state.items()}, name)
    pictures = torch.rand(known.given, generator=torch.Generator().manual_seed(1)) * known.upto
    found = network.eval()(pictures)
    assert found.shape == known.shape
    flat = found.flatten()
    some = torch.stack([flat[0], flat[len(flat) // 2 + 7], flat[-1], flat.mean(), flat.std()])
    torch.testing.assert_close(some, torch.tensor(known.values), atol=1e-4 * known.values[-1], rtol=1e-4)


def prefixed(name: str) -> bool:
    """Return whether the file was saved from a network on several devices."""
    return name in ("PiDiNet", "lineart_anime", "erika")


def test_a_key_too_few_or_too_many_is_refused_by_name(file: tuple[str, dict[str, Tensor]]) -> None:
    name, state = file
    known = PUBLISHED[name]
    few = {key: value for key, value in state.items() if key != known.dropped}
    assert len(few) == len(state) - 1
    with pytest.raises(CheckpointError, match=rf"{name} does not fit .*: missing: {known.lacking};"):
        load.filled(known.kind(), few, name)
    with pytest.raises(CheckpointError, match=r"unexpected: another\.weight;"):
        load.filled(known.kind(), state | {"another.weight": torch.ones(1)}, name)


def test_a_level_below_the_deepest_is_refused() -> None:
    deeper = "model.model.1" + ".model.3" * 7 + ".model.1.weight"
    with pytest.raises(CheckpointError, match="unexpected: " + deeper.replace(".", r"\.")):
        load.filled(Anime2Sketch(slim=64), {deeper: torch.ones(1)}, "netG.pth")


def test_half_precision_becomes_single() -> None:
    network = HED(slim=8)
    state = {key: value.half() for key, value in network.state_dict().items()}
    assert load.filled(network, state, "ControlNetHED.pth").norm.dtype == torch.float32


@pytest.mark.parametrize(
    ("spec", "layout", "wrap"),
    [
        ("softedge_pidinet(resolution=64)", "PiDiNet", lambda state: {"epoch": 19, "state_dict": state}),
        ("mlsd(resolution=64)", "MLSD_large", dict),
    ],
)
def test_a_file_as_published_makes_a_map(
    spec: str, layout: str, wrap: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load.forget()
    made, state = condition(spec), official(layout)
    before = "module." if prefixed(layout) else ""
    torch.save(wrap({before + key: value for key, value in state.items()}), tmp_path / made.weights[0].name)
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    found = made(pixels)
    assert found.shape == (50, 70, 3) and found.dtype == np.uint8 and np.ptp(found) > 0
    load.forget()


NEEDED = {
    "softedge_hed": ("ControlNetHED.pth (29.4 MB, licence: Apache-2.0)", "softedge_gradient"),
    "scribble_hed": ("ControlNetHED.pth (29.4 MB, licence: Apache-2.0)", "scribble_xdog"),
    "softedge_pidinet": ("table5_pidinet.pth (2.9 MB, licence: research only)", "softedge_gradient"),
    "scribble_pidinet": ("table5_pidinet.pth (2.9 MB, licence: research only)", "scribble_xdog"),
    "mlsd": ("mlsd_large_512_fp32.pth (6.3 MB, licence: Apache-2.0)", "lines"),
    "lineart_realistic": ("sk_model.pth (17 MB, licence: MIT)", "lineart_standard"),
    "lineart_coarse": ("sk_model2.pth (17 MB, licence: MIT)", "lineart_standard"),
    "lineart_anime": ("netG.pth (218 MB, licence: MIT)", "lineart_standard"),
    "lineart_anime_denoise": ("erika.pth (173 MB, licence: MIT)", "lineart_standard"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_absent_weights_are_named_with_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load.forget()
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights) as caught:
        condition(f"{name}(resolution=64)")(np.zeros((64, 64, 3), np.uint8))
    told, stand_in = NEEDED[name]
    assert told in str(caught.value) and f"meanwhile {stand_in} needs no weights" in str(caught.value)
    assert f"controlnet weights fetch {told.split()[0]}" in str(caught.value)


ALIASES = {
    "hed": "softedge_hed",
    "hed_safe": "softedge_hed(safe=True)",
    "softedge_hedsafe": "softedge_hed(safe=True)",
    "pidinet": "softedge_pidinet",
    "pidinet_safe": "softedge_pidinet(safe=True)",
    "softedge_pidisafe": "softedge_pidinet(safe=True)",
    "pidinet_scribble": "scribble_pidinet",
    "fake_scribble": "scribble_hed",
    "lineart": "lineart_realistic",
}


@pytest.mark.parametrize("alias", ALIASES)
def test_other_tools_names_are_understood(alias: str) -> None:
    assert str(condition(alias)) == ALIASES[alias]


def test_soft_edges_and_scribbles_share_one_network() -> None:
    load.forget()
    made = HED(slim=8)
    (edges,), (strokes,) = condition("softedge_hed").weights, condition("scribble_hed").weights
    load.place(HED, made, edges)
    assert load.network(HED, strokes) is made
    assert isinstance(strokes, Weights) and strokes.stand_in != edges.stand_in
    load.forget()
