"""Networks of the learned conditions: loaded strictly, once, without running anything in a file."""

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from controlnet.conditions._networks import load
from controlnet.conditions._weights import Weights
from controlnet.errors import CheckpointError, MissingWeights
from tests.helpers import official

WEIGHTS = Weights("owner/repo", "Net.pth", 1, "MIT")


class Net(nn.Module):
    """Two numbers; the file calls them a and module.b."""

    made: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Net.made += 1
        self.first, self.second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 3))

    @staticmethod
    def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
        names = {"a": "first", "module.b": "second"}
        return {names.get(key, key): value for key, value in state.items() if key != "dropped"}


STATE = {"a": torch.ones(2, dtype=torch.float16), "module.b": torch.full((1, 3), 2.0)}


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    Net.made = 0
    yield tmp_path
    load.forget()


@pytest.mark.parametrize("kept_under", [None, "state_dict", "model", "depth_model"])
def test_a_file_is_loaded_ready_for_use(own: Path, kept_under: str | None) -> None:
    state = {**STATE, "dropped": torch.zeros(5)}
    whole: Any = state if kept_under is None else {"epoch": 3, kept_under: state, "optimizer": {"state": {}}}
    torch.save(whole, own / "Net.pth")
    net = load.network(Net, WEIGHTS)
    assert net.first.tolist() == [1, 1] and net.second.tolist() == [[2, 2, 2]]
    assert not net.training
    for parameter in net.parameters():
        assert parameter.dtype == torch.float32 and not parameter.requires_grad
        assert parameter.device.type == load.device().type


def test_a_conversion_is_loaded_too(own: Path) -> None:
    save_file(STATE, own / "Net.safetensors")
    assert load.network(Net, WEIGHTS).first.tolist() == [1, 1]


def test_it_is_loaded_once_whoever_asks(own: Path) -> None:
    torch.save(STATE, own / "Net.pth")
    found: list[Net] = []
    threads = [threading.Thread(target=lambda: found.append(load.network(Net, WEIGHTS))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Net.made == 1 and len(found) == 8 and len({id(net) for net in found}) == 1
    load.forget()
    assert load.network(Net, WEIGHTS) is not found[0]


def test_missing_weights_are_told() -> None:
    with pytest.raises(MissingWeights, match=r"Net\.pth"):
        load.network(Net, WEIGHTS)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a": STATE["a"]}, "missing: second"),
        ({**STATE, "x": STATE["a"]}, "unexpected: x"),
        ({**STATE, "a": torch.ones(3)}, "of another shape: first"),
        ({}, "missing: first, second"),
        ({f"k{n}": STATE["a"] for n in range(9)}, "k3 and 5 more"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(state: dict[str, Tensor], said: str) -> None:
    with pytest.raises(CheckpointError) as error:
        load.filled(Net(), state, "Net.pth")
    assert said in str(error.value) and "Net.pth does not fit Net" in str(error.value)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(own: Path) -> None:
    trap = own / "trap"
    torch.save({**STATE, "x": Trap(trap)}, own / "Net.pth")
    with pytest.raises(CheckpointError, match="more than tensors"):
        load.network(Net, WEIGHTS)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), b"\x80\x02."], ids=repr)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files(own: Path, content: bytes, suffix: str) -> None:
    (own / f"Net{suffix}").write_bytes(content)
    with pytest.raises(CheckpointError, match="Net"):
        load.network(Net, WEIGHTS)


def test_several_parts_keep_their_names(own: Path) -> None:
    torch.save({"a": {"x": torch.ones(1)}, "b": {"x": torch.zeros(1)}, "epoch": 3}, own / "x.pth")
    assert load.tensors(own / "x.pth") == {"a.x": torch.ones(1), "b.x": torch.zeros(1)}


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 1}, {}, {"optimizer": {"state": {}}}], ids=repr)
def test_a_file_that_is_no_network(own: Path, content: Any) -> None:
    torch.save(content, own / "Net.pth")
    with pytest.raises(CheckpointError, match="the weights of one network"):
        load.network(Net, WEIGHTS)


def build(folder: Path) -> list[Path]:
    return [folder]


def test_a_pretrained_folder_is_built_once(own: Path) -> None:
    weights = Weights("owner/model", None, 1, "MIT")
    with pytest.raises(MissingWeights):
        load.pretrained(build, weights)
    (own / "model").mkdir()
    found = load.pretrained(build, weights)
    assert found == [own / "model"] and load.pretrained(build, weights) is found


def test_what_is_placed_is_given() -> None:
    net, other = Net().train(), Net()
    load.place(Net, net)
    assert load.network(Net, WEIGHTS) is net and not net.training
    load.place(Net, other, Weights("owner/repo", "Other.pth", 1, "MIT"))
    assert load.network(Net, WEIGHTS) is net
    assert load.network(Net, Weights("owner/repo", "Other.pth", 1, "MIT")) is other


def test_pictures_and_maps() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 5, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    given = load.to_input(pixels[::-1])
    assert given.shape == (1, 3, 3, 5) and given.dtype == torch.float32
    assert np.array_equal(given[0].permute(1, 2, 0).cpu().numpy(), pixels[::-1])
    found = load.to_map(torch.tensor([[0.0, 0.5, 1.0, -1.0, 2.0]]))
    assert found.dtype == np.uint8 and found.shape == (1, 5, 3) and found.flags.writeable
    assert found[0].tolist() == [[v] * 3 for v in (0, 127, 255, 0, 255)]


def test_official_layouts_are_the_same_each_time() -> None:
    first, second, other = official("HED"), official("HED"), official("HED", seed=1)
    assert first.keys() == second.keys() and len(first) == 37
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["norm"], other["norm"])
    assert all(tensor.isfinite().all() for tensor in official("MLSD_tiny").values())
