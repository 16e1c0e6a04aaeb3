"""`controlnet annotate`: one picture, folders, patterns; what is skipped, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.cli.app import main
from controlnet.conditions import annotate


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
