"""Batches of examples, read ahead, in an order that any step can be asked for directly."""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from time import perf_counter
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from controlnet.data.batch import Batch, Dataset, Sample
from controlnet.data.example import BadExample
from controlnet.data.order import order_of
from controlnet.errors import DataError, SettingError


@final
class Loader:
    """An endless stream of examples, cut into batches: epoch after epoch, each a permutation of the data set.

    A step takes `accumulate` micro-batches of `batch_size` examples on each of `world` processes; every
    example is taken once before any is taken twice, and batches run on across the end of an epoch. Crop and
    flip are drawn from (seed, epoch, index), so neither resuming nor `prefetch`, the number of batches that
    as many threads prepare ahead (0: none), changes a bit. Raises SettingError for counts that cannot be
    meant.

    A bad example is replaced by the next good one in the data set, the same one in every run; what was bad is
    counted by the data set (`FolderDataset.report`). With shuffle off an epoch goes through the set in its
    order.

    groups: a number for each example, such as its bucket; a batch, over all processes, is then of one group.
    shards: a number for each example, that of the file it stands in; few are then read from at a time. See
    `order` for both, and for why the order does not depend on the number of processes.

    waited: seconds that the stream's taker has waited for batches so far.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        accumulate: int = 1,
        rank: int = 0,
        world: int = 1,
        prefetch: int = 2,
        groups: Sequence[int] | NDArray[np.int16] | None = None,
        shards: Sequence[int] | NDArray[np.int32] | None = None,
    ) -> None:
        if min(batch_size, accumulate, world) < 1 or min(seed, prefetch) < 0 or not 0 <= rank < world:
            got = f"{batch_size=}, {accumulate=}, {seed=}, {prefetch=}, {rank=}, {world=}"
            raise SettingError(f"got {got}; wanted sizes from 1, seed and prefetch from 0, rank below world")
        if len(dataset) == 0:
            raise DataError("got a data set of no examples, wanted at least one")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.accumulate = accumulate
        self.rank = rank
        self.world = world
        self.prefetch = prefetch
        self.waited = 0.0
        self._order = order_of(len(dataset), seed, shuffle, groups, shards)

    def batch(self, step: int, micro: int = 0) -> Batch:
        """Give micro-batch `micro` of step `step`, both from 0."""
        whole = self._order.batch(step * self.accumulate + micro, self.world * self.batch_size)
        first = self.rank * self.batch_size
        taken = [self._take(epoch, index) for epoch, index in whole[first : first + self.batch_size]]
        return Batch.of([sample for _, sample in taken], [index for index, _ in taken])

    def batches(self, start: int = 0) -> Generator[Batch, None, None]:
        """Stream the micro-batches from step `start` on, `accumulate` a step, for ever.

        Closing the iterator ends its threads.
        """
        places = (divmod(number, self.accumulate) for number in count(start * self.accumulate))
        if not self.prefetch:
            for step, micro in places:
                yield self._waiting(lambda step=step, micro=micro: self.batch(step, micro))
            return
        pool = ThreadPoolExecutor(self.prefetch, thread_name_prefix="loader")
        waiting: deque[Future[Batch]] = deque()
        try:
            for step, micro in places:
                waiting.append(pool.submit(self.batch, step, micro))
                if len(waiting) > self.prefetch:
                    yield self._waiting(waiting.popleft().result)
        finally:
            pool.shutdown(cancel_futures=True)

    def epoch(self, step: int) -> float:
        """Give how many times the data set has been gone through when step `step` begins."""
        return step * self.accumulate * self.world * self.batch_size / len(self.dataset)

    def state_dict(self) -> dict[str, Any]:
        """Give all that the order depends on; the place in it is the step.

        The batch is that of all processes together: over how many it is spread makes no difference.
        """
        names = ("seed", "shuffle", "accumulate")
        batch = {"examples": len(self.dataset), "batch_size": self.batch_size * self.world}
        return {**batch, **{name: getattr(self, name) for name in names}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check that this loader goes on in the order that `state` was saved from; raises DataError."""
        here = self.state_dict()
        if changed := [f"{k} was {state.get(k)}, is {here[k]}" for k in here if state.get(k) != here[k]]:
            raise DataError(
                f"the data are not those that the run began with: {'; '.join(changed)}; restore them"
            )

    def _waiting(self, batch: Callable[[], Batch]) -> Batch:
        began = perf_counter()
        found = batch()
        self.waited += perf_counter() - began
        return found

    def _take(self, epoch: int, first: int) -> tuple[int, Sample]:
        """Read an example in an epoch, or the next good one."""
        for index in self._order.after(first):
            rng = np.random.default_rng([self.seed, epoch, index + 1])  # a last 0 would not count
            try:
                return index, self.dataset.example(index, rng)
            except BadExample:
                continue
        raise DataError(
            f"none of the {len(self.dataset)} examples can be read; run `controlnet dataset check`"
        )
