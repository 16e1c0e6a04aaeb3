"""Random weights for the contract tests."""

from tests.annotators._oneformer import place_tiny


def place_random() -> None:
    place_tiny(150)
