import numpy as np
import pytest

from controlnet.data import Circles, DatasetWriter, check_dataset
from controlnet.errors import DataError


def test_report_says_what_is_in_the_set(make):
    folder = make(4, condition="ring")
    with DatasetWriter(folder) as writer:
        image, _, caption = Circles(1, 32)(0)
        writer.add(image, np.zeros_like(image), caption, {"index": 4, "condition": "canny"})
        writer.add(image, None, caption, {"index": 5})
    steps = []
    found = check_dataset(folder, progress=lambda: steps.append(1))
    assert found.problem() is None and len(steps) == found.report.total == 6
    assert found.sizes == {(24, 24): 4, (32, 32): 2}
    assert found.conditions == {"ring": 4, "canny": 1, "unknown": 1}
    assert found.generators == {"circles": 4, "unknown": 2}
    assert (found.blank, found.unstored, found.captions) == (1, 1, 4)


def test_decoding_finds_what_headers_hide(make):
    folder = make(4)
    picture = next((folder / "conditioning").iterdir())
    picture.write_bytes(picture.read_bytes()[:-40])
    assert check_dataset(folder, decode=False).report.bad == 0
    found = check_dataset(folder)
    assert found.report.skipped == {"unreadable picture": 1}
    assert found.report.places["unreadable picture"] == [f"conditioning/{picture.name}"]
    assert "1 of 4" in found.problem() and found.problem(max_bad=0.3) is None


def test_only_the_first_places_are_named(make):
    folder = make(8)
    for picture in (folder / "images").iterdir():
        picture.unlink()
    found = check_dataset(folder)
    assert found.report.skipped == {"missing file": 8} and len(found.report.places["missing file"]) == 3


def test_no_set_at_all(tmp_path):
    with pytest.raises(DataError, match=r"metadata\.jsonl"):
        check_dataset(tmp_path)
