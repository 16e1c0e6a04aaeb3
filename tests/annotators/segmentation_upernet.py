"""Random weights for the contract tests."""

from controlnet.conditions._networks.load import filled, place
from controlnet.conditions._networks.uniformer import UniFormer
from tests.helpers import official


def place_random() -> None:
    place(UniFormer, filled(UniFormer(), official("upernet"), "upernet"))
