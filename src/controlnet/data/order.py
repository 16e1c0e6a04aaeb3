"""In which order examples are taken: a function of (seed, epoch) alone, for any number of processes.

A step takes so many examples over all processes, whose shares are cut out of that afterwards. So the order is
the same for one process and for eight, any step can be asked for directly, and the step is all the state that
there is to save.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Place = tuple[int, int]
"""(epoch, index into the data set)"""


class Order(Protocol):
    """An endless sequence of batches."""

    def batch(self, number: int, count: int) -> list[Place]:
        """Give the examples of a batch of `count`; the count is the same for all batches."""
        ...

    def after(self, index: int) -> Iterator[int]:
        """Walk the examples that may stand in for one, itself first, each once."""
        ...


@final
class Stream:
    """Epoch after epoch, each a permutation of the members; batches run on across its end.

    members: indices into the data set, ascending. seeds: what the permutations are drawn from, beside the
    epoch. shards: for each member the number of its shard, None where reading is as quick anywhere. With them
    an epoch takes the shards in an order of its own, `mix` of them shuffled into each other at a time, so
    that no more than these are read from at once.
    """

    def __init__(
        self,
        members: Indices,
        seeds: tuple[int, tuple[int, ...]],
        shuffle: bool,
        shards: NDArray[np.int32] | None = None,
        mix: int = 8,
    ) -> None:
        self.members = members
        self._seeds, self._shuffle, self._shards, self._mix = seeds, shuffle, shards, mix
        self._orders: dict[int, Indices] = {}

    def batch(self, number: int, count: int) -> list[Place]:
        """Give the examples of a batch of `count`."""
        places = (
            divmod(position, len(self.members)) for position in range(number * count, number * count + count)
        )
        return [(epoch, int(self._order(epoch)[place])) for epoch, place in places]

    def after(self, index: int) -> Iterator[int]:
        """Walk the members from one on, and around."""
        first, size = int(np.searchsorted(self.members, index)), len(self.members)
        return (int(self.members[(first + hop) % size]) for hop in range(size))

    def _order(self, epoch: int) -> Indices:
        order = self._orders.get(epoch)
        if order is None:
            order = self._drawn(epoch)
            # This epoch and the one that other threads may still be at.
            self._orders = {**{e: o for e, o in self._orders.items() if abs(e - epoch) == 1}, epoch: order}
        return order

    def _drawn(self, epoch: int) -> Indices:
        if not self._shuffle:
            return self.members
        seed, more = self._seeds
        rng = np.random.default_rng([seed, epoch, *more])
        if self._shards is None:
            return self.members[rng.permutation(len(self.members))]
        by_shard = np.argsort(self._shards, kind="stable")
        _, firsts = np.unique(self._shards[by_shard], return_index=True)
        shards = np.split(self.members[by_shard], firsts[1:])
        order = rng.permutation(len(shards)).tolist()
        mixed = (order[first : first + self._mix] for first in range(0, len(order), self._mix))
        return np.concatenate([rng.permutation(np.concatenate([shards[s] for s in some])) for some in mixed])


@final
class Grouped:
    """Batches of one group each, such as one size of picture; every group keeps pace with all others.

    After e epochs group g of n examples has given ⌊e·n / count⌋ batches, in an order drawn anew each epoch.
    So every example of a group is taken once before any is taken twice, and no two groups are ever more than
    a batch apart; of a group smaller than a batch the same example may stand in one batch twice.
    """

    def __init__(
        self, groups: NDArray[np.int16], seed: int, shuffle: bool, shards: NDArray[np.int32] | None = None
    ) -> None:
        self._groups, self._seed, self._shuffle = groups, seed, shuffle
        self._streams: dict[int, Stream] = {}
        for group in np.unique(groups).tolist():
            members = np.flatnonzero(groups == group).astype(np.int64)
            own = None if shards is None else shards[members]
            self._streams[group] = Stream(members, (seed, (group, 2)), shuffle, own)
        self._schedules: dict[tuple[int, int], list[Place]] = {}

    def batch(self, number: int, count: int) -> list[Place]:
        """Give the examples of a batch of `count`, all of one group."""
        epoch = number * count // len(self._groups)  # of which at most `number` batches come before
        while self._before(epoch + 1, count) <= number:
            epoch += 1
        group, which = self._schedule(epoch, count)[number - self._before(epoch, count)]
        return self._streams[group].batch(which, count)

    def after(self, index: int) -> Iterator[int]:
        """Walk the members of the same group."""
        return self._streams[int(self._groups[index])].after(index)

    def _given(self, group: int, epoch: int, count: int) -> int:
        return epoch * len(self._streams[group].members) // count

    def _before(self, epoch: int, count: int) -> int:
        return sum(self._given(group, epoch, count) for group in self._streams)

    def _schedule(self, epoch: int, count: int) -> list[Place]:
        found = self._schedules.get((epoch, count))
        if found is None:
            given = {g: range(*(self._given(g, e, count) for e in (epoch, epoch + 1))) for g in self._streams}
            turns = np.repeat(list(given), [len(batches) for batches in given.values()])
            if self._shuffle:
                turns = np.random.default_rng([self._seed, epoch, 0, 1]).permutation(turns)
            following = {group: iter(batches) for group, batches in given.items()}
            found = [(group, next(following[group])) for group in turns.tolist()]
            kept = {key: value for key, value in self._schedules.items() if abs(key[0] - epoch) == 1}
            self._schedules = {**kept, (epoch, count): found}
        return found


def order_of(
    size: int,
    seed: int,
    shuffle: bool,
    groups: Sequence[int] | NDArray[np.int16] | None = None,
    shards: Sequence[int] | NDArray[np.int32] | None = None,
) -> Order:
    """Return the order of a data set of `size` examples; groups, shards: the number of each example's."""
    own = None if shards is None else np.asarray(shards, np.int32)
    if groups is not None:
        return Grouped(np.asarray(groups, np.int16), seed, shuffle, own)
    return Stream(np.arange(size, dtype=np.int64), (seed, ()), shuffle, own)
