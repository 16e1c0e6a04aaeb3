"""Data sets: their form on disk, generators, the transform, and loaders whose order is exact."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controlnet.data.batch import Batch as Batch
    from controlnet.data.batch import Dataset as Dataset
    from controlnet.data.batch import Sample as Sample
    from controlnet.data.buckets import Buckets as Buckets
    from controlnet.data.builder import generate as generate
    from controlnet.data.check import CheckReport as CheckReport
    from controlnet.data.check import check_dataset as check_dataset
    from controlnet.data.circles import Circles as Circles
    from controlnet.data.example import BadExample as BadExample
    from controlnet.data.example import Example as Example
    from controlnet.data.loader import Loader as Loader
    from controlnet.data.manifest import DatasetWriter as DatasetWriter
    from controlnet.data.report import Report as Report
    from controlnet.data.sources import FolderDataset as FolderDataset
    from controlnet.data.sources import InMemory as InMemory
    from controlnet.data.sources import Subset as Subset
    from controlnet.data.sources import hold_out as hold_out
    from controlnet.data.transforms import Transform as Transform

# Imported when asked for: generating and checking sets needs no torch, in the command line or in its workers.
_HOMES = {
    "batch": ("Batch", "Dataset", "Sample"),
    "builder": ("generate",),
    "check": ("CheckReport", "check_dataset"),
    "buckets": ("Buckets",),
    "circles": ("Circles",),
    "example": ("BadExample", "Example"),
    "loader": ("Loader",),
    "manifest": ("DatasetWriter",),
    "report": ("Report",),
    "sources": ("FolderDataset", "InMemory", "Subset", "hold_out"),
    "transforms": ("Transform",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
