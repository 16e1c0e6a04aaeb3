"""Sequences: folders and videos in and out, one seed, work that goes on where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from controlnet.backbones import Base
from controlnet.conditions import annotate
from controlnet.core.controlnet import ControlNet
from controlnet.errors import DataError, SettingError
from controlnet.sampling import Clip, Control, frames, generate, generate_frames, save_video

FRAMES = [np.roll(np.uint8(255) * (np.indices((64, 64, 3))[1] < 20), 8 * k, axis=1) for k in range(3)]


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    for number, pixels in zip((2, 10, 1), (FRAMES[1], FRAMES[2], FRAMES[0]), strict=True):
        Image.fromarray(pixels).save(place / f"frame{number}.png")
    (place / "notes.txt").write_text("no picture")
    return place


def make(base: Base, net: ControlNet, source: Any, out: Path, **changes: Any) -> tuple[list[str], list[bool]]:
    """Run with canny of each frame; return the names of the files and which of them were made now."""
    told: list[bool] = []
    settings: dict[str, Any] = {"steps": 1, "guidance_scale": 1.0} | changes
    paths = generate_frames(
        base,
        "x",
        source,
        out,
        lambda frame: [Control(net, annotate("canny", frame))],
        on_frame=lambda path, fresh: told.append(fresh),
        **settings,
    )
    return [path.name for path in paths], told


def test_a_folder_in_a_folder_out_each_frame_as_if_made_alone(
    base: Base, net: ControlNet, shots: Path, tmp_path: Path
) -> None:
    names, told = make(base, net, shots, tmp_path / "out", seed=3)
    assert names == ["frame1.png", "frame2.png", "frame10.png"]
    assert told == [True] * 3
    for name, pixels in zip(names, FRAMES, strict=True):
        control = Control(net, annotate("canny", pixels))
        (wanted,) = generate(base, "x", [control], steps=1, guidance_scale=1.0, seed=3)
        with Image.open(tmp_path / "out" / name) as image:
            assert np.array_equal(np.asarray(image), np.asarray(wanted))


def test_what_is_there_stays_and_what_changed_is_made_anew(
    base: Base, net: ControlNet, other_net: ControlNet, shots: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert make(base, net, shots, out)[1] == [True] * 3
    assert make(base, net, shots, out)[1] == [False] * 3
    assert make(base, net, shots, out, overwrite=True)[1] == [True] * 3
    (out / "frame2.png").unlink()
    (out / "frame10.png").write_bytes((out / "frame10.png").read_bytes()[:-50])  # cut short
    assert make(base, net, shots, out)[1] == [False, True, True]
    Image.fromarray(FRAMES[0][::-1, ::-1].copy()).save(shots / "frame1.png")
    assert make(base, net, shots, out)[1] == [True, False, False]
    assert make(base, other_net, shots, out)[1] == [True] * 3
    assert make(base, other_net, shots, out, seed=4)[1] == [True] * 3
    assert make(base, other_net, shots, out, seed=4, negative_prompt="grey")[1] == [True] * 3


def test_work_that_is_stopped_leaves_whole_files_and_goes_on(
    base: Base, net: ControlNet, shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def stopping(*args: Any, **settings: Any) -> list[Image.Image]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return generate(*args, **settings)

    monkeypatch.setattr(frames, "generate", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(base, net, shots, tmp_path / "out.avi")
    assert [path.name for path in (tmp_path / "out.avi.frames").iterdir()] == ["frame1.png"]
    assert not (tmp_path / "out.avi").exists()
    assert make(base, net, shots, tmp_path / "out.avi")[1] == [False, True, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.avi"]


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_video_in_a_video_out(base: Base, net: ControlNet, tmp_path: Path, suffix: str) -> None:
    source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    save_video(source, FRAMES, rate=5)
    clip = Clip(source)
    assert (clip.rate, clip.count) == (5, 3)
    read = list(clip)
    assert [name for name, _ in read] == ["000001", "000002", "000003"]
    for (_, pixels), wanted in zip(read, FRAMES, strict=True):
        assert np.abs(pixels.astype(int) - wanted).mean() < 12
    assert make(base, net, source, out, keep=True)[0] == [out.name]
    assert len(list((tmp_path / f"out{suffix}.frames").iterdir())) == 3
    assert (Clip(out).rate, Clip(out).count) == (5, 3)
    with Image.open(tmp_path / f"out{suffix}.frames" / "000002.png") as image:
        painted = np.asarray(image).astype(int)
    assert np.abs(list(Clip(out))[1][1] - painted).mean() < 30


def test_colours_keep_their_order(tmp_path: Path) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    save_video(tmp_path / "red.avi", [red])
    ((_, pixels),) = Clip(tmp_path / "red.avi")
    assert pixels[32, 32, 0] > 200 and pixels[32, 32, 2] < 60


def test_frames_may_be_what_each_picture_begins_from(base: Base, shots: Path, tmp_path: Path) -> None:
    paths = generate_frames(
        base, "x", FRAMES, tmp_path / "out", strength=0.5, steps=2, texts={"parameters": "ä"}
    )
    assert [path.name for path in paths] == ["000001.png", "000002.png", "000003.png"]
    (wanted,) = generate(base, "x", image=FRAMES[1], strength=0.5, steps=2)
    with Image.open(paths[1]) as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
        assert image.info["parameters"] == "ä"


def test_what_cannot_be_meant_is_refused(base: Base, net: ControlNet, shots: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="all would be one picture"):
        generate_frames(base, "x", shots, tmp_path / "out")
    for out, says in (("in", "which is read"), ("out.gif", r"\.mp4"), ("in/frame1.png", r"\.mp4")):
        with pytest.raises(SettingError, match=says):
            make(base, net, shots, tmp_path / out)
    with pytest.raises(DataError, match="no folder and no video"):
        make(base, net, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match="no frames"):
        make(base, net, [], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        make(base, net, tmp_path / "empty", tmp_path / "out")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="as a video"):
        make(base, net, tmp_path / "broken.mp4", tmp_path / "out")
    with pytest.raises(DataError, match="one size"):
        save_video(tmp_path / "two.avi", [FRAMES[0], FRAMES[0][:32]])
    with pytest.raises(SettingError, match="frames a second"):
        save_video(tmp_path / "slow.avi", FRAMES, rate=0)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "empty", "broken.mp4"}
