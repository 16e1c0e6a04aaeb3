import torch
from torch import nn

from controlnet.core.origin import fingerprint


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 3))


def test_is_short_and_the_same_for_the_same_weights():
    assert fingerprint(network()) == fingerprint(network())
    assert len(fingerprint(network())) == 12


def test_is_the_same_in_half_precision():
    assert fingerprint(network().half()) == fingerprint(network())


def test_tells_weights_and_names_apart():
    changed = network()
    with torch.no_grad():
        changed[1].bias += 0.1
    names = {
        fingerprint(network(0)),
        fingerprint(network(1)),
        fingerprint(changed),
        fingerprint(network()[0]),
    }
    assert len(names) == 4


def test_is_empty_without_weights():
    assert fingerprint(network().to("meta")) == ""
