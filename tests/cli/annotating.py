"""A folder of photographs to annotate, and what stands in a folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make photos/a.png, photos/sub/b.jpg and make their folder the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[8:20, 10:25] = 255
    Image.fromarray(pixels).save("photos/a.png")
    Image.fromarray(pixels).save("photos/sub/b.jpg", quality=95)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
