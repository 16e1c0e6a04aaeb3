"""The cache on disk: no bit of a run changed, nothing made twice, encoders gone, faults outlived."""

import gc
import json
import os
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file

from controlnet.backbones import Base, load_base
from controlnet.data import DatasetWriter
from controlnet.data.circles import draw
from controlnet.errors import TrainingStopped
from controlnet.training import Event, caching, train
from controlnet.training.disk import Disk, default_folder, identity_of_text, identity_of_vae
from controlnet.training.frozen import Frozen
from controlnet.training.sections import Data
from controlnet.training.workshop import Workshop
from tests.training.conftest import MakePlan

KEYS = ("steps=3", "watch.gain_every=3", "data.cache=disk")


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Count what is encoded; prompts by their text."""
    made: list[str] = []
    posterior, prompts = Base.posterior, Base.encode_prompts

    def counted(self: Base, texts: list[str], *given: Any, **named: Any) -> Any:
        made.extend(texts)
        return prompts(self, texts, *given, **named)

    with (
        patch.object(Base, "posterior", lambda self, x: made.append("picture") or posterior(self, x)),
        patch.object(Base, "encode_prompts", counted),
    ):
        yield made


def in_cache(tmp_path: Path) -> str:
    return f"data.cache_folder={tmp_path / 'cache'}"


def alike(one: Path, other: Path) -> bool:
    weights = [load_file(run / "controlnet.safetensors") for run in (one, other)]
    return (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes() and all(
        torch.equal(weights[0][key], weights[1][key]) for key in weights[0]
    )


def test_no_bit_is_changed_and_nothing_is_encoded_twice(
    make_plan: MakePlan, tmp_path: Path, calls: list[str]
) -> None:
    plain = train(make_plan(*KEYS, "data.cache=none", out="none"))
    calls.clear()
    first = train(make_plan(*KEYS, in_cache(tmp_path), out="first"))
    assert alike(plain.folder, first.folder)
    assert calls.count("picture") == 2 * 14  # as it is and mirrored
    assert len(calls) - 28 == len(set(calls)) - 1  # each caption once, the empty one too
    calls.clear()
    again = train(make_plan(*KEYS, in_cache(tmp_path), "optim.lr=1e-4", "seed=5", out="again"))
    assert not calls and not alike(plain.folder, again.folder)


def test_a_resumed_run_finds_its_cache_without_reading_the_data(
    make_plan: MakePlan, tmp_path: Path, calls: list[str]
) -> None:
    train(make_plan(*KEYS, in_cache(tmp_path)))
    calls.clear()
    with patch.object(caching, "Loader", side_effect=AssertionError):
        train(make_plan(*KEYS, in_cache(tmp_path), "steps=4"), resume=True)
    assert not calls


def test_encoders_leave_memory_and_the_decoder_stays_for_previews_alone(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    for previews in (0, 3):
        parts: dict[str, weakref.ref[Any]] = {}
        made = Workshop.__init__

        def watched(self: Workshop, *given: Any, made: Any = made, parts: Any = parts) -> None:
            made(self, *given)
            vae = self.base.vae
            modules = {"text": self.base.text_encoders[0], "encoder": vae.encoder, "decoder": vae.decoder}
            parts |= {name: weakref.ref(next(module.parameters())) for name, module in modules.items()}

        alive: list[set[str]] = []

        def look(event: Event, parts: Any = parts, alive: Any = alive) -> None:
            if event.kind == "step":
                gc.collect()
                alive.append({name for name, part in parts.items() if part() is not None})

        keys = (*KEYS, in_cache(tmp_path), f"watch.preview_every={previews}", "watch.sample_steps=1")
        with patch.object(Workshop, "__init__", watched):
            train(make_plan(*keys, out=f"run{previews}"), on_event=look)
        assert alive == [{"decoder"} if previews else set()] * 3


def test_a_cache_is_bound_to_the_weights_and_to_the_precision(base_folder: Path) -> None:
    base, other, half = (load_base(base_folder) for _ in range(3))
    with torch.no_grad():
        next(other.vae.parameters()).view(-1)[0] += 1
        next(other.text_encoders[0].parameters()).view(-1)[0] += 1
        next(other.network.parameters()).add_(1)  # of which no cache depends
    half.to(dtype=torch.bfloat16)
    for identity in (identity_of_vae, identity_of_text):
        assert identity(base) == identity(load_base(base_folder))
        assert len({identity(each) for each in (base, other, half)}) == 3


def test_damage_and_changed_pictures_are_made_good_while_training(
    make_plan: MakePlan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = train(make_plan(*KEYS, "data.cache=none", out="none"))
    train(make_plan(*KEYS, in_cache(tmp_path), out="first"))
    for path in (tmp_path / "cache").glob("*/*.safetensors"):
        spoilt = bytearray(path.read_bytes())
        spoilt[-40:] = bytes(40)
        path.write_bytes(spoilt)
    second = train(make_plan(*KEYS, in_cache(tmp_path), out="second"))
    assert alike(plain.folder, second.folder) and "the encoders are loaded again" in caplog.text
    caplog.clear()
    for path in (tmp_path / "cache").glob("*/*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    third = train(make_plan(*KEYS, in_cache(tmp_path), out="third"))
    assert alike(plain.folder, third.folder) and "is torn" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_filling_stops_and_goes_on(
    make_plan: MakePlan, tmp_path: Path, calls: list[str], number: int
) -> None:
    plan = make_plan(*KEYS, in_cache(tmp_path), "data.flip=false")
    told: list[dict[str, int]] = []

    def stop(event: Event) -> None:
        if event.kind == "cache":
            told.append(dict(event.record))
            if event.record["done"] == 5:
                os.kill(os.getpid(), number)

    with pytest.raises(TrainingStopped, match=r"while latents and captions were cached, .*plan\.yaml"):
        train(plan, on_event=stop)
    assert told[-1] == {"done": 5, "total": 14} and calls.count("picture") in (5, 6)
    before = calls.count("picture")
    assert train(plan).steps == 3
    assert calls.count("picture") == 14 and before > 0


def test_pictures_of_a_folder_are_cached_without_their_maps(
    make_plan: MakePlan, tmp_path: Path, calls: list[str]
) -> None:
    with DatasetWriter(tmp_path / "set") as writer:
        for index in range(5):
            source, target, caption = draw(0, index, size=40)
            writer.add(target, source, caption, {"generator": "circles"})
    folder = (f"data.source={tmp_path / 'set'}", "data.count=null", "data.held_out=2", in_cache(tmp_path))
    train(make_plan(*KEYS, *folder, out="stored"))
    assert calls.count("picture") == 10
    calls.clear()
    train(make_plan(*KEYS, *folder, "data.condition=canny", out="made"))
    assert not calls


def test_a_list_that_grew_is_filled_up(make_plan: MakePlan, tmp_path: Path, calls: list[str]) -> None:
    train(make_plan(*KEYS, in_cache(tmp_path), out="first"))
    calls.clear()
    train(make_plan(*KEYS, in_cache(tmp_path), "data.count=16", out="second"))
    assert calls.count("picture") == 4


def test_latents_of_a_deterministic_encoder_are_all_that_is_kept(base: Base, tmp_path: Path) -> None:
    disk = Disk(base, tmp_path, lambda: base)
    mean = torch.randn(1, 4, 4, 4)
    for key, deviation in (("a" * 32, torch.zeros_like(mean)), ("b" * 32, torch.ones_like(mean))):
        disk.posterior(key, lambda deviation=deviation: (mean, deviation))
        disk.flush()
        found = disk.posterior(key, lambda: pytest.fail("made again"))
        assert torch.equal(found[0], mean) and torch.equal(found[1], deviation)
    assert set(disk.pictures.get("a" * 32) or {}) == {"mean"}


def test_the_posterior_is_drawn_anew_from_the_disk(base_folder: Path, tmp_path: Path) -> None:
    base = load_base(base_folder)
    disk = Disk(base, tmp_path, lambda: load_base(base_folder))
    pixels, noise = torch.rand(2, 3, 32, 32), torch.randn(2, 2, 4, 4, 4)
    kept, plain = Frozen(base, 32, False, disk), Frozen(load_base(base_folder), 32, False)
    kept.prepare(pixels, ["a"])
    disk.flush()
    disk.dismiss(decodes=False)
    for one in noise:
        assert torch.equal(kept.latents(pixels, one), plain.latents(pixels, one))
    assert not torch.equal(kept.latents(pixels, noise[0]), kept.latents(pixels, noise[1]))
    assert torch.equal(kept.context(["a", ""]).tokens, plain.context(["a", ""]).tokens)


def test_auto_takes_the_disk_where_it_pays(
    make_plan: MakePlan, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan("steps=10", in_cache(tmp_path))  # 40 examples are seen
    assert caching.choose(plan, base, 32, 20) == "memory"
    with monkeypatch.context() as heavy:  # encoders, which had better leave
        heavy.setattr(caching, "HEAVY", 0)
        assert caching.choose(plan, base, 32, 20) == "disk" and caching.choose(plan, base, 32, 21) == "memory"
    monkeypatch.setattr("controlnet.training.frozen.AUTO_BYTES", 0)
    assert caching.choose(plan, base, 32, 20) == "disk" and caching.choose(plan, base, 32, 21) == "none"
    monkeypatch.setattr(caching, "ROOM", 1e30)
    assert caching.choose(plan, base, 32, 20) == "none"
    for cache in ("memory", "disk", "none"):
        assert caching.choose(plan.override([f"data.cache={cache}"]), base, 32, 10**9) == cache


def test_the_folder_is_the_plans_or_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONTROLNET_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    assert caching.folder_of(Data(source="x", cache_folder="y")) == Path("y")
    monkeypatch.delenv("CONTROLNET_CACHE")
    assert default_folder().parts[-3:] == (".cache", "controlnet", "encoded")


def test_a_set_is_named_by_its_list_and_its_pixels(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png"}))
    plan = Data(source=str(tmp_path))
    name = caching.name_of(plan, 32)
    same = [{"cache": "disk"}, {"condition": "canny"}, {"held_out": 3}]
    other = [{"flip": True}, {"size": 64}]
    assert all(caching.name_of(plan.model_copy(update=change), 32) == name for change in same)
    assert all(caching.name_of(plan.model_copy(update=change), 32) != name for change in other)
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "b.png"}))
    assert caching.name_of(plan, 32) != name


def die_instead_of_shard(moment: int) -> None:
    """Let this process die when that shard is written, but has not yet its name."""
    replace, count = Path.replace, iter(range(99))

    def die(self: Path, to: Path) -> Path:
        if to.suffix == ".safetensors" and next(count) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, to)

    Path.replace = die


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_killed_while_filling_it_goes_on_and_ends_the_same(
    make_plan: MakePlan, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlnet.data.cache.store.SHARD_ENTRIES", 5)
    plain = train(make_plan(*KEYS, "data.cache=none", out="none"))
    plan = make_plan(*KEYS, in_cache(tmp_path))
    calls.clear()
    for moment in (1, 3):
        child = os.fork()
        if child == 0:
            try:
                die_instead_of_shard(moment)
                train(plan)
            finally:
                os._exit(7)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(list((tmp_path / "cache").glob("latents-*/[!.]*.safetensors"))) >= 2
    assert alike(plain.folder, train(plan).folder)
    assert 0 < calls.count("picture") < 28
