"""`controlnet annotate`: one picture, folders, patterns; what is skipped, what is refused, the list."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.conditions._weights import Weights
from tests.cli.annotating import files, photos

__all__ = ["photos"]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif", ".tiff"])
def test_one_picture(photos: Path, suffix: str) -> None:
    assert main(["annotate", "canny(low=50, high=60)", "photos/a.png", "--out", f"maps/map{suffix}"]) == 0
    wanted = annotate("canny(low=50, high=60)", photos / "photos/a.png")
    with Image.open(f"maps/map{suffix}") as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(wanted))
    assert files(photos / "maps") == {f"map{suffix}"}


def test_one_picture_into_a_folder_that_exists(photos: Path) -> None:
    (photos / "maps").mkdir()
    assert main(["annotate", "canny", "photos/sub/b.jpg", "--out", "maps"]) == 0
    assert files(photos / "maps") == {"b.png"}


def test_one_picture_into_a_folder_to_be_made(photos: Path) -> None:
    assert main(["annotate", "canny", "photos/a.png", "photos/a.png", "--out", "maps/new"]) == 0
    assert files(photos / "maps") == {"new/a.png"}


def test_a_folder_keeps_its_subfolders(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "photos" / "notes.txt").write_text("no picture")
    (photos / "photos" / ".hidden").mkdir()
    Image.new("RGB", (4, 4)).save("photos/.hidden/c.png")
    assert main(["annotate", "canny", "photos", "--out", "maps"]) == 0
    assert files(photos / "maps") == {"a.png", "sub/b.png"}
    assert "2 of 2 maps (canny) are in maps" in capsys.readouterr().out


def test_names_that_differ_in_their_suffix_do_not_collide(photos: Path) -> None:
    Image.new("RGB", (5, 5)).save("photos/a.bmp")
    assert main(["annotate", "canny", "photos", "--out", "maps"]) == 0
    assert files(photos / "maps") == {"a.png.png", "a.bmp.png", "sub/b.png"}


@pytest.mark.parametrize(
    ("pattern", "wanted"), [("photos/*.png", {"a.png"}), ("photos/**/*", {"a.png", "b.png"})]
)
def test_a_pattern(photos: Path, pattern: str, wanted: set[str]) -> None:
    assert main(["annotate", "canny", pattern, "--out", "maps"]) == 0
    assert files(photos / "maps") == wanted


def test_what_cannot_be_read_is_skipped_and_told(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "photos" / "bad.png").write_bytes((photos / "photos/a.png").read_bytes()[:60])
    assert main(["annotate", "canny", "photos", "--out", "maps"]) == 1
    assert files(photos / "maps") == {"a.png", "sub/b.png"}
    said = capsys.readouterr()
    assert "2 of 3" in said.out
    assert said.err.count("\n") == 1 and said.err.startswith("skipped photos/bad.png: ")


def test_a_map_that_exists_is_replaced(photos: Path) -> None:
    Path("map.png").write_text("old")
    assert main(["annotate", "canny", "photos/a.png", "--out", "map.png"]) == 0
    with Image.open("map.png") as image:
        assert image.size == (40, 30)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cany", "photos/a.png", "--out", "m.png"], "did you mean canny"),
        (["canny(low=999)", "photos/a.png", "--out", "m.png"], "255"),
        (["canny", "photos/none.png", "--out", "m.png"], "no picture at photos/none.png"),
        (["canny", "photos/*.bmp", "--out", "maps"], "no picture in photos/*.bmp"),
        (["canny", "photos/a.png", "--out", "m.xyz"], ".png"),
        (["canny", "photos/a.png", "--out", "photos/a.png"], "overwrite"),
        (["canny", "photos", "--out", "photos"], "overwrite"),
        (["canny", "photos", "--out", "photos/a.png"], "wanted a folder"),
        (["canny", "photos", "others", "--out", "maps"], "same name"),
        (["canny", "photos/a.png"], "--out"),
        (["canny", "--out", "m.png"], "no picture given"),
        ([], "no condition given"),
        (["canny", "photos", "--out", "maps", "--pixel-perfect", "512"], "512x768"),
        (["canny", "photos", "--out", "maps", "--fit", "squeeze"], "crop, fill or stretch"),
        (["canny", "photos", "--out", "maps", "--keypoints"], "openpose"),
        (["canny", "photos/*.json", "--out", "maps"], "no picture in photos/*.json"),
    ],
)
def test_mistakes(photos: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "others").mkdir()
    Image.new("RGB", (4, 4)).save("others/a.png")
    before = files(photos)
    assert main(["annotate", *arguments]) == 2
    line = capsys.readouterr().err
    assert line.startswith("controlnet: ") and line.count("\n") == 1 and said in line
    assert files(photos) == before


def test_a_lone_damaged_picture_is_the_users_to_mend(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["annotate", "canny", "bad.png", "--out", "m.png"]) == 2
    assert "bad.png" in capsys.readouterr().err
    assert not Path("m.png").exists()


def test_list_describes_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "--list"]) == 0
    said = capsys.readouterr().out
    assert "canny: " in said and "low = 100, 1 to 255: " in said and "resolution = None, 64 to 4096: " in said
    assert "EDGES" in said and "licence: Apache-2.0 (OpenCV)" in said


def test_list_as_json_says_what_a_page_of_sliders_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "--list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["canny"]
    assert told["family"] == "edges" and told["weights"] == [] and told["label_map"] is True
    assert told["schema"]["properties"]["low"]["maximum"] == 255


def test_list_tells_whether_weights_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from controlnet import registry

    weights = Weights("owner/repo", "Net.pth", 3, "MIT")
    monkeypatch.setattr(registry.find("conditions", "canny"), "weights", (weights,))
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    assert main(["annotate", "--list"]) == 0
    assert "Net.pth, 3 MB, MIT (not here: controlnet weights fetch Net.pth)" in capsys.readouterr().out
    (tmp_path / "Net.pth").touch()
    assert main(["annotate", "--list"]) == 0
    assert "Net.pth, 3 MB, MIT (here)" in capsys.readouterr().out
