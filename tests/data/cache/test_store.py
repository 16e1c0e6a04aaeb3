"""Tensors on disk: whole or absent, found by key, never of another model, made again where damaged."""

import logging
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from torch import Tensor

from controlnet.data.cache import TensorStore, caption_key, pixels_key, store
from controlnet.errors import DataError, SettingError

KEYS = [caption_key(f"caption {number}") for number in range(12)]


def entry(number: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(number)
    mean = torch.randn(1, 4, 3, 2 + number % 2, generator=chance)
    return {"mean": mean.to(dtype), "deviation": mean.abs().to(dtype)}


def filled(folder: Path, count: int = 12, limit: int = 400, identity: str = "VAE a") -> TensorStore:
    made = TensorStore(folder, identity, limit)
    for number in range(count):
        made.put(KEYS[number], entry(number))
    made.flush()
    return made


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def same(found: dict[str, Tensor] | None, number: int) -> bool:
    wanted = entry(number)
    return (
        found is not None
        and found.keys() == wanted.keys()
        and all(torch.equal(found[name], wanted[name]) for name in wanted)
    )


def test_entries_come_back_bit_for_bit_at_once_and_from_the_disk(tmp_path: Path) -> None:
    made = TensorStore(tmp_path, "VAE a", limit=400)
    for number, key in enumerate(KEYS):
        assert key not in made and made.get(key) is None
        made.put(key, entry(number))
        assert key in made and same(made.get(key), number)
    made.flush()
    assert len(shards(tmp_path)) > 3
    for store_ in (made, TensorStore(tmp_path, "VAE a")):
        assert len(store_) == 12
        assert all(same(store_.get(key), number) for number, key in enumerate(KEYS))
        assert caption_key("another") not in store_


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    made = TensorStore(tmp_path, "VAE a")
    made.put(KEYS[0], entry(0, dtype))
    made.flush()
    found = TensorStore(tmp_path, "VAE a").get(KEYS[0])
    assert found is not None and torch.equal(found["mean"], entry(0, dtype)["mean"])


def test_what_was_not_flushed_is_all_that_is_lost(tmp_path: Path) -> None:
    made = filled(tmp_path, 6)
    made.put(KEYS[6], entry(6))
    left = TensorStore(tmp_path, "VAE a")
    assert len(left) == 6 and KEYS[6] not in left


def test_a_torn_shard_is_removed_and_only_its_entries_are_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    torn = shards(tmp_path)[1]
    torn.write_bytes(torn.read_bytes()[:-7])
    found = TensorStore(tmp_path, "VAE a")
    assert f"{torn} is torn" in caplog.text and not torn.exists()
    lost = [number for number, key in enumerate(KEYS) if key not in found]
    assert 0 < len(lost) < 6
    for number in lost:
        found.put(KEYS[number], entry(number))
    found.flush()
    assert all(same(TensorStore(tmp_path, "VAE a").get(key), number) for number, key in enumerate(KEYS))


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff" * 9])
def test_a_file_that_is_no_shard_does_no_harm(tmp_path: Path, content: bytes) -> None:
    filled(tmp_path, 3)
    (tmp_path / "0000.safetensors").write_bytes(content)
    assert len(TensorStore(tmp_path, "VAE a")) == 3


def test_a_damaged_entry_counts_as_absent_and_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, 1)
    path = shards(tmp_path)[0]
    spoilt = bytearray(path.read_bytes())
    spoilt[-1] ^= 1
    path.write_bytes(spoilt)
    found = TensorStore(tmp_path, "VAE a")
    assert found.get(KEYS[0]) is None and "is damaged; it is made again" in caplog.text
    found.put(KEYS[0], entry(0))
    found.flush()
    assert same(found.get(KEYS[0]), 0) and same(TensorStore(tmp_path, "VAE a").get(KEYS[0]), 0)


def test_shards_of_another_model_are_left_alone_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, 2, identity="VAE b")
    caplog.set_level(logging.WARNING)
    found = TensorStore(tmp_path, "VAE a")
    assert len(found) == 0 and "was made by VAE b, wanted VAE a" in caplog.text
    assert len(TensorStore(tmp_path, "VAE b")) == 2


def test_what_others_write_is_seen_after_a_look(tmp_path: Path) -> None:
    mine, its = TensorStore(tmp_path, "VAE a"), filled(tmp_path, 4)
    assert KEYS[0] not in mine
    mine.refresh()
    assert len(mine) == len(its) == 4 and same(mine.get(KEYS[3]), 3)


def test_a_whole_set_is_known_until_a_shard_changes(tmp_path: Path) -> None:
    made = filled(tmp_path)
    assert not made.marked("set")
    made.mark("set")
    assert made.marked("set") and not made.marked("other")
    later = TensorStore(tmp_path, "VAE a")
    later.put(caption_key("more"), entry(0))
    later.flush()
    assert later.marked("set") and not TensorStore(tmp_path, "VAE b").marked("set")
    shards(tmp_path)[0].unlink()
    assert not TensorStore(tmp_path, "VAE a").marked("set")
    (tmp_path / "complete-set.json").write_text('{"shards": [')
    assert not later.marked("set")


def test_few_shards_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "OPEN_SHARDS", 2)
    made = filled(tmp_path)
    assert all(same(made.get(KEYS[number]), number) for number in (0, 11, 5, 0, 8, 11))
    assert len(made._open) == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("no space")])
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, error: Exception) -> None:
    made = filled(tmp_path, 3)
    made.put(KEYS[4], entry(4))
    with (
        patch.object(store, "save_file", side_effect=error),
        pytest.raises(DataError, match=r"free some space"),
    ):
        made.flush()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors"] * len(shards(tmp_path))
    made.flush()
    assert same(TensorStore(tmp_path, "VAE a").get(KEYS[4]), 4)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = TensorStore(tmp_path / "file" / "cache", "VAE a")
    made.put(KEYS[0], entry(0))
    with pytest.raises(SettingError, match="cannot write"):
        made.flush()


@given(st.lists(st.text(max_size=9), unique=True, max_size=20))
def test_captions_have_names_of_their_own(captions: list[str]) -> None:
    names = {caption_key(caption) for caption in captions} | {caption_key(c, (8, 8)) for c in captions}
    assert len(names) == 2 * len(captions)
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)


def test_pictures_are_named_by_size_and_pixels() -> None:
    picture = torch.rand(3, 4, 8)
    assert pixels_key(picture) == pixels_key(picture[None]) == pixels_key(picture.clone())
    others = [picture.flip(-1), picture.reshape(3, 8, 4), picture[..., :7], picture + 1e-6, picture.double()]
    assert len({pixels_key(each) for each in (picture, *others)}) == 6
