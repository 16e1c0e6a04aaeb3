"""Every example runs as it stands, in an empty folder, and leaves the pictures that it promises."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet import backbones
from controlnet.checkpoints.shipped import shipped

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = example.read_text()
    if 'load_base("shapes")' in text and not (backbones._SHIPPED / "model_index.json").is_file():
        pytest.skip("the embedded base is not in this checkout")
    missing = {*re.findall(r'load_controlnet\("(\w+)"', text)} - {*shipped()}
    if missing:
        pytest.skip(f"no shipped ControlNet called {', '.join(missing)} in this checkout")
    monkeypatch.chdir(tmp_path)
    told = runpy.run_path(str(example), run_name="__main__")["__doc__"]
    promised = set(re.findall(r"[\w-]+\.png", told))
    written = {path.name for path in tmp_path.iterdir()}
    assert promised
    assert promised <= written
    for name in written:
        with Image.open(name) as picture:
            assert np.asarray(picture).std() > 1


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5
    for example in EXAMPLES:
        assert len(example.read_text().splitlines()) <= 40
