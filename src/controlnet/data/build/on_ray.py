"""The same work on Ray Data: processes of a machine or a cluster make the examples, this one writes them.

The pictures must lie where every node can read them; the set is written by the process that was started.
"""

import json
import os
from collections.abc import Generator, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from itertools import islice
from math import ceil
from typing import Any, Final

from controlnet import errors
from controlnet.data.build.item import Item
from controlnet.data.build.make import Made, Maker, Refused
from controlnet.errors import ControlNetError, DataError, MissingExtra

CHUNK: Final = 16_384  # addresses that Ray is given at once
BLOCK: Final = 32  # pictures of one task


def on_ray(
    make: Maker, items: Iterable[Item], workers: int = 2, chunk: int = CHUNK
) -> Generator[Made | Refused, None, None]:
    """Yield what `make` makes of each item, in the order of the items, by so many processes of Ray Data.

    Ray is started on this machine unless it runs already or RAY_ADDRESS names a cluster. Of all the items so
    many as a chunk are in memory. Raises MissingExtra without Ray, what `make` raises, and DataError where
    Ray fails.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports] # an extra
        import ray.data  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra("building on Ray needs that library; pip install 'controlnet[ray]'") from error
    if not ray.is_initialized():
        # with a single processor Ray Data waits for ever: reading and making want one each
        ray.init(include_dashboard=False, log_to_driver=False, **_local(workers))
    settings = ray.data.DataContext.get_current()
    settings.execution_options.preserve_order = True
    settings.enable_progress_bars = False
    how: dict[str, Any] = {"num_gpus": _share(ray.cluster_resources(), workers)} if make.learned else {}
    stream = iter(items)
    try:
        while rows := [{"item": json.dumps(asdict(item))} for item in islice(stream, chunk)]:
            asked = ray.data.from_items(rows, override_num_blocks=ceil(len(rows) / BLOCK))
            for row in asked.map(partial(_made, make), concurrency=workers, **how).iter_rows():
                yield _outcome(row)
    except RayError as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise DataError(f"Ray failed ({said}); run again to continue, perhaps with fewer workers") from error


def _local(workers: int) -> dict[str, Any]:
    return {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(2, workers + 1)}


def _share(resources: Mapping[str, float], workers: int) -> float:
    """Return the share of a GPU that each worker has: a network uses one where it may."""
    return min(1.0, resources.get("GPU", 0.0) / workers)


def _made(make: Maker, row: dict[str, Any]) -> dict[str, Any]:
    """Make one example in a process of Ray's, which keeps the maker and what its condition has loaded."""
    told = json.loads(row["item"])
    members = {kind: (offset, size) for kind, (offset, size) in told.pop("members").items()}
    try:
        outcome = make(Item(**told, members=members))
    except ControlNetError as error:  # Ray would wrap it into one of its own
        return _row({"error": type(error).__name__, "said": str(error)})
    if isinstance(outcome, Refused):
        return _row({"refused": asdict(outcome)})
    told = {key: value for key, value in vars(outcome).items() if key not in ("picture", "conditioning")}
    return _row({"made": told}, outcome.picture, outcome.conditioning)


def _row(told: dict[str, Any], picture: bytes = b"", conditioning: bytes = b"") -> dict[str, Any]:
    return {"told": json.dumps(told), "picture": picture, "conditioning": conditioning}


def _outcome(row: dict[str, Any]) -> Made | Refused:
    told = json.loads(row["told"])
    if "error" in told:
        raise getattr(errors, told["error"], ControlNetError)(told["said"])
    if "refused" in told:
        return Refused(**told["refused"])
    return Made(**told["made"], picture=row["picture"], conditioning=row["conditioning"])
