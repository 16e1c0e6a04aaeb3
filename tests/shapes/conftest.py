"""Scenes rendered once for all tests of the world."""

import pytest

from controlnet.shapes.render import View, render


@pytest.fixture(scope="session")
def views() -> list[View]:
    """Sixteen pictures of world 2, some with a mannequin."""
    found = [render(2, index) for index in range(16)]
    assert any(view.scene.figure for view in found) and not all(view.scene.figure for view in found)
    return found
