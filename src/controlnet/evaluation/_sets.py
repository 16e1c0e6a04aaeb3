"""What metrics between sets have in common: features of generated and true pictures, each true one once."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from controlnet.evaluation.metric import Metric, Pixels, check_pair, needed

Features = NDArray[np.float64]


@final
class Extractor:
    """Turns a picture into its features (D,), and remembers those of true pictures.

    The same true pictures come once for each set that is compared with them.
    """

    def __init__(self, look: Callable[[Pixels], Features], most: int = 20_000) -> None:
        self._look, self._most = look, most
        self._known: dict[bytes, Features] = {}

    def __call__(self, picture: Pixels) -> Features:
        """Look at a picture."""
        return self._look(picture)

    def recall(self, digest: bytes, picture: Pixels) -> Features:
        """Look at a picture unless it is known by its digest."""
        if digest not in self._known:
            if len(self._known) >= self._most:
                self._known.pop(next(iter(self._known)))
            self._known[digest] = self._look(picture)
        return self._known[digest]


class Sets(Metric):
    """A distance between the features of generated pictures and those of true ones.

    A true picture counts once, however many pictures were generated for its example. A subclass says what
    becomes of features and calls `super().__init__(extractor)`.
    """

    wants_truth: ClassVar[bool] = True

    def __init__(self, extractor: Extractor) -> None:
        self._features = extractor
        self._made = 0
        self._seen: set[bytes] = set()

    @abstractmethod
    def take(self, features: Features, made: bool) -> None:
        """Take the features of a picture, generated or true."""

    @final
    def update(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None = None) -> None:
        """Take a generated picture and its true one; condition and caption play no part."""
        check_pair(picture, condition, truth)
        true = needed(self, truth)
        self._made += 1
        self.take(self._features(picture), made=True)
        digest = hashlib.sha1(f"{true.shape}".encode() + true.tobytes(), usedforsecurity=False).digest()
        if digest not in self._seen:
            self._seen.add(digest)
            self.take(self._features.recall(digest, true), made=False)

    @property
    def count(self) -> int:
        """How many generated pictures there are."""
        return self._made

    @property
    def true_count(self) -> int:
        """How many different true pictures there are."""
        return len(self._seen)
