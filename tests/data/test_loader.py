import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from controlnet.data import Batch, Circles, FolderDataset, InMemory, Loader, hold_out
from controlnet.errors import DataError, SettingError


@pytest.fixture
def dataset() -> InMemory:
    return InMemory([Circles(1, 24)(index) for index in range(10)], size=16, crop="random", flip=True)


def same(a: Batch, b: Batch) -> bool:
    tensors = torch.equal(a.pixels, b.pixels) and torch.equal(a.condition, b.condition)
    return tensors and a.captions == b.captions and a.indices == b.indices


def indices(loader: Loader, batches: int) -> list[int]:
    return [index for step in range(batches) for index in loader.batch(step).indices]


def test_batch_has_the_promised_shapes_and_ranges(dataset):
    batch = Loader(dataset, 4).batch(0)
    assert batch.pixels.shape == batch.condition.shape == (4, 3, 16, 16)
    assert batch.pixels.dtype == batch.condition.dtype == torch.float32
    assert -1 <= batch.pixels.min() < -0.5 and 0.5 < batch.pixels.max() <= 1
    assert batch.condition.min() >= 0 and batch.condition.max() <= 1
    assert len(batch) == 4 and [dataset.items[i][2] for i in batch.indices] == batch.captions
    assert batch.to(dtype=torch.bfloat16).condition.dtype == torch.bfloat16


def test_each_epoch_is_another_permutation_and_batches_run_across_it(dataset):
    taken = indices(Loader(dataset, 4), 15)  # 60 examples: six epochs of ten
    epochs = [taken[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert indices(Loader(dataset, 4, seed=1), 15) != taken == indices(Loader(dataset, 4), 15)
    assert indices(Loader(dataset, 4, shuffle=False), 5) == [*range(10), *range(10)]


def test_crop_and_flip_change_from_epoch_to_epoch(dataset):
    loader = Loader(dataset, 10, shuffle=False)
    assert not torch.equal(loader.batch(0).pixels, loader.batch(1).pixels)
    assert same(loader.batch(1), Loader(dataset, 10, shuffle=False).batch(1))


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_the_stream_is_the_batches_wherever_it_starts_and_however_many_threads(dataset, prefetch):
    direct = Loader(dataset, 3, seed=5, prefetch=0)
    for start in (0, 7):
        stream = Loader(dataset, 3, seed=5, prefetch=prefetch).batches(start)
        assert all(same(batch, direct.batch(start + k)) for k, batch in enumerate(islice(stream, 6)))
        stream.close()


def test_the_composition_of_batches_does_not_change_an_example(dataset):
    one, four = Loader(dataset, 1), Loader(dataset, 4)
    stacked = torch.stack([one.batch(k).pixels[0] for k in range(4)])
    assert torch.equal(stacked, four.batch(0).pixels)


def test_micro_batches_and_processes_share_the_same_stream(dataset):
    whole = indices(Loader(dataset, 8), 3)
    micro = Loader(dataset, 4, accumulate=2)
    assert [i for step in range(3) for m in range(2) for i in micro.batch(step, m).indices] == whole
    ranks = [Loader(dataset, 2, accumulate=2, rank=rank, world=2) for rank in range(2)]
    assert [
        i for step in range(3) for m in range(2) for loader in ranks for i in loader.batch(step, m).indices
    ] == whole
    stream = micro.batches(1)
    assert [next(stream).indices for _ in range(2)] == [micro.batch(1, 0).indices, micro.batch(1, 1).indices]
    stream.close()
    assert micro.epoch(5) == 4.0


def test_closing_the_stream_ends_its_threads(dataset):
    stream = Loader(dataset, 2, prefetch=3).batches()
    next(stream)
    assert any(t.name.startswith("loader") for t in threading.enumerate())
    stream.close()
    assert not any(t.name.startswith("loader") for t in threading.enumerate())


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_bad_example_is_replaced_by_the_next_good_one(make, prefetch):
    folder = make(10)
    dataset = FolderDataset(folder, max_bad=0.5)
    for index in (3, 4, 9):
        spoil(dataset[index].image)
    expected = {3: 5, 4: 5, 9: 0}
    clean = indices(Loader(InMemory([Circles(1, 24)(i) for i in range(10)]), 5), 4)
    stream = Loader(dataset, 5, prefetch=prefetch).batches()
    taken = [batch for batch in islice(stream, 4)]
    stream.close()
    assert [i for b in taken for i in b.indices] == [expected.get(i, i) for i in clean]
    assert all(b.captions == [dataset[i].caption for i in b.indices] for b in taken)
    assert dataset.report.bad == 3


def test_a_replacement_never_comes_from_the_held_out_part(make):
    dataset = FolderDataset(make(10), max_bad=0.5)
    train, held = hold_out(dataset, 2)
    spoil(dataset[7].image)
    assert set(indices(Loader(train, 8), 2)) == set(range(7))
    assert set(indices(Loader(held, 2), 1)) == {0, 1}


def test_errors_of_the_threads_reach_the_caller(make):
    dataset = FolderDataset(make(10))
    spoil(dataset[0].image)
    stream = Loader(dataset, 5).batches()
    with pytest.raises(DataError, match="1 of 10"):
        list(islice(stream, 4))


def test_a_set_that_became_unreadable_is_an_end(make):
    dataset = FolderDataset(make(2), max_bad=1.0)
    for example in dataset:
        spoil(example.image)
    with pytest.raises(DataError, match="2"):
        Loader(dataset, 1).batch(0)


def test_pictures_of_several_sizes_need_a_size():
    pictures = [(np.zeros((8, side, 3), np.uint8),) * 2 for side in (8, 16)]
    items = [(*pair, "a") for pair in pictures]
    with pytest.raises(DataError, match=r"sizes .*\(8, 8\), \(8, 16\).* set the data's size"):
        Loader(InMemory(items), 2).batch(0)
    assert len(Loader(InMemory(items, size=8), 2).batch(0)) == 2


def test_resuming_on_other_data_or_settings_is_refused(dataset):
    state = Loader(dataset, 4, seed=1).state_dict()
    Loader(dataset, 4, seed=1, prefetch=0).load_state_dict(state)
    with pytest.raises(DataError, match="batch_size was 4, is 2; seed was 1, is 0"):
        Loader(dataset, 2).load_state_dict(state)
    with pytest.raises(DataError, match="examples was 10, is 9"):
        Loader(InMemory(dataset.items[:9]), 4, seed=1).load_state_dict(state)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"seed": -1}, {"accumulate": 0}, {"rank": 1}, {"prefetch": -1}]
)
def test_settings_that_cannot_be_meant_are_refused(dataset, wrong):
    with pytest.raises(SettingError, match="wanted"):
        Loader(dataset, **{"batch_size": 2, **wrong})
    with pytest.raises(DataError, match="no examples"):
        Loader(InMemory([]), 2)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_waiting_is_counted(dataset, prefetch, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr("controlnet.data.loader.perf_counter", lambda: next(ticks))
    loader = Loader(dataset, 3, prefetch=prefetch)
    stream = loader.batches()
    assert loader.waited == 0
    next(stream), next(stream)
    assert loader.waited == 2
    stream.close()
