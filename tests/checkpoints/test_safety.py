"""Files that mean harm, or are broken in any way, give one clear error: nothing runs, nothing hangs."""

import os
import random
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from controlnet.backbones.unet import UNet
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.checkpoints.about import format_of
from controlnet.checkpoints.base import base_weights
from controlnet.checkpoints.io import look
from controlnet.errors import CheckpointError
from tests.checkpoints.nets import awake


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    tiny, net = awake(hint_widths=(2, 2, 2, 2))
    for kind in ("native", "ldm", "diffusers_file", "control_lora"):
        save_controlnet(net, folder / kind, kind, base=tiny.network, rank=2)
    for kind, modern in (("zip", True), ("pickle", False)):
        torch.save(load_file(folder / "ldm"), folder / kind, _use_new_zipfile_serialization=modern)
    return folder


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("modern", [True, False], ids=["zip", "old"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(modern, tmp_path):
    content = {"input_hint_block.0.weight": torch.ones(2), "x": Evil(tmp_path / "ran")}
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=modern)
    with pytest.raises(CheckpointError, match=r"asks for \w+.mkdir; wanted tensors only: it was refused"):
        load_controlnet(tmp_path / "net.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"a": [torch.ones(2)]}, "holds a list as 'a'"),
        ({"a": torch.ones(2).to_sparse()}, "wanted dense tensors"),
        ({"a": torch.ones(1).expand(2**40)}, "claims more numbers than there are"),
    ],
)
def test_pickles_of_other_things(content, message, tmp_path):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=message):
        load_controlnet(tmp_path / "net.pth")


def test_whole_numbers_are_no_weights(files, tmp_path):
    tensors = load_file(files / "ldm")
    tensors["time_embed.0.bias"] = tensors["time_embed.0.bias"].int()
    save_file(tensors, tmp_path / "net")
    with pytest.raises(CheckpointError, match=r"whole numbers \(time_embed.0.bias\)|describes no network"):
        load_controlnet(tmp_path / "net")


@pytest.fixture(scope="module")
def base():
    return base_weights(UNet().tiny("sd").network)


KINDS = ["native", "ldm", "diffusers_file", "control_lora", "zip", "pickle"]
_MOST = 256 * 2**20  # bytes that reading a damaged file of 1.5 MB may take beyond what there was


@pytest.mark.parametrize("rounds", [75, pytest.param(800, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_one_clear_error_or_none(kind, rounds, files, base, tmp_path):
    """A byte, a stretch or the end is changed, in the header most of all; what still reads is no harm."""
    whole = (files / kind).read_bytes()
    chance = random.Random(rounds)
    path, refused, before = tmp_path / "net", 0, peak()
    for round_ in range(rounds):
        path.write_bytes(damaged(whole, round_, chance))
        try:
            describe(path)
            if round_ % 15 == 0:
                seen = look(path)
                format_of(seen).read(seen, base)
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
    assert refused > rounds // 10
    assert peak() - before < _MOST


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def damaged(whole, round_, chance):
    """Change some bytes near one place; cut out, put in or cut off a stretch now and then."""
    found = bytearray(whole)
    place = chance.randrange(min(len(whole), 60_000) if round_ % 3 else len(whole))
    for _ in range(chance.choice((1, 1, 4))):
        found[min(place + chance.randrange(8), len(whole) - 1)] = chance.randrange(256)
    if round_ % 10 == 0:
        del found[place:]
    elif round_ % 10 == 1:
        del found[place : place + chance.randrange(1, 64)]
    elif round_ % 10 == 2:
        found[place:place] = chance.randbytes(chance.randrange(1, 64))
    return found


def test_a_description_of_a_monster_is_refused_at_once(files, tmp_path):
    import json

    from safetensors import safe_open

    with safe_open(str(files / "native"), framework="pt") as file:
        note = json.loads(file.metadata()["controlnet"])
    tensors = load_file(files / "native")
    for key, value in [
        ("layers_per_block", 10**9),
        ("transformer_layers_per_block", [1, [10**9]]),
        ("block_out_channels", [2**40] * 4),
        ("down_block_types", ["DownBlock2D"] * 10_000),
    ]:
        changed = {
            **note,
            "base": {**note["base"], "configuration": {**note["base"]["configuration"], key: value}},
        }
        save_file(tensors, tmp_path / "net", {"controlnet": json.dumps(changed)})
        with pytest.raises(CheckpointError, match=f"describes no network that can be built .*{key}"):
            load_controlnet(tmp_path / "net")
