"""The order of examples: exact, resumable anywhere, the same over any number of processes."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlnet.data import Circles, InMemory, Loader
from controlnet.data.order import Order, order_of

SIZES = st.lists(st.integers(1, 23), min_size=1, max_size=4)


def numbered(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


def taken(order: Order, count: int, batches: int) -> list[int]:
    return [index for number in range(batches) for _, index in order.batch(number, count)]


@given(SIZES, st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_every_example_of_a_group_is_taken_once_before_any_is_taken_twice(
    sizes: list[int], count: int, seed: int
) -> None:
    groups = numbered(sizes)
    order = order_of(len(groups), seed, True, groups)
    seen: Counter[int] = Counter()
    for number in range(60):
        places = order.batch(number, count)
        assert len(places) == count and len({int(groups[index]) for _, index in places}) == 1
        for epoch, index in places:
            assert epoch == seen[index]  # the epoch that crop and flip are drawn from
            seen[index] += 1
    for group in set(groups.tolist()):
        often = [seen[index] for index in np.flatnonzero(groups == group).tolist()]
        assert max(often) - min(often) <= 1


@given(SIZES, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_groups_keep_pace(sizes: list[int], count: int) -> None:
    groups = numbered(sizes)
    order, given_ = order_of(len(groups), 0, True, groups), Counter[int]()
    for number in range(2 * len(groups)):  # at least two epochs
        given_[int(groups[order.batch(number, count)[0][1]])] += count
        epochs = (number + 1) * count / len(groups)
        for group, size in enumerate(sizes):
            assert abs(given_[group] - epochs * size) < count * (len(sizes) + 1) + size


def test_without_groups_an_epoch_is_the_permutation_of_its_seed() -> None:
    order = order_of(10, 3, True)
    epochs = [np.random.default_rng([3, epoch]).permutation(10).tolist() for epoch in range(4)]
    assert taken(order, 4, 10) == list(chain.from_iterable(epochs))
    assert order.batch(2, 4) == [(0, epochs[0][8]), (0, epochs[0][9]), (1, epochs[1][0]), (1, epochs[1][1])]


@pytest.mark.parametrize("grouped", [False, True])
def test_any_batch_can_be_asked_for_by_itself(grouped: bool) -> None:
    groups = numbered([7, 12, 3]) if grouped else None
    walked = order_of(22, 1, True, groups)
    stream = [walked.batch(number, 4) for number in range(40)]
    for number in (39, 0, 17, 23, 5):
        assert order_of(22, 1, True, groups).batch(number, 4) == stream[number]
    assert stream != [order_of(22, 2, True, groups).batch(number, 4) for number in range(40)]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_another_number_of_processes_goes_on_in_the_same_order(world: int) -> None:
    dataset = InMemory([Circles(1, 16)(index) for index in range(22)], flip=True)
    groups = numbered([7, 12, 3])

    def ranks(world: int) -> list[Loader]:
        return [
            Loader(dataset, 4 // world, rank=r, world=world, prefetch=0, groups=groups) for r in range(world)
        ]

    alone, together = ranks(1)[0], ranks(world)
    for step in (0, 5, 9, 31):
        parts = [loader.batch(step) for loader in together]
        assert [index for part in parts for index in part.indices] == alone.batch(step).indices
        pixels = np.concatenate([part.pixels.numpy() for part in parts])
        assert np.array_equal(pixels, alone.batch(step).pixels.numpy())
    together[0].load_state_dict(alone.state_dict())


def test_shards_are_read_few_at_a_time_each_epoch_in_another_order() -> None:
    shards = np.repeat(np.arange(20), 5)
    order = order_of(100, 0, True, shards=shards)
    epochs = [taken(order, 5, 40)[start : start + 100] for start in (0, 100)]
    assert epochs[0] != epochs[1] and all(sorted(epoch) == list(range(100)) for epoch in epochs)
    for epoch in epochs:
        blocks = [set(shards[epoch[first : first + 40]].tolist()) for first in (0, 40, 80)]
        assert [len(block) for block in blocks] == [8, 8, 4]
        assert not blocks[0] & blocks[1]
        assert sum(shards[a] == shards[b] for a, b in pairwise(epoch)) < 30  # and these are shuffled


def test_shards_within_groups() -> None:
    groups, shards = numbered([40, 60]), np.repeat(np.arange(20), 5)
    order = order_of(100, 0, True, groups, shards)
    assert sorted(taken(order, 4, 25)) == list(range(100))
    first = [shards[index] for number in range(8) for _, index in order.batch(number, 4)]
    assert len(set(first)) <= 16


def test_an_order_that_is_not_shuffled() -> None:
    assert taken(order_of(5, 0, False), 2, 5) == [0, 1, 2, 3, 4] * 2
    assert taken(order_of(6, 0, False, np.array([1, 0, 1, 0, 0, 1])), 3, 2) == [1, 3, 4, 0, 2, 5]
