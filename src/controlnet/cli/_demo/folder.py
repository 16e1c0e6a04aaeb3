"""The demo's folder: where its things lie, and whether a call goes on there or begins anew."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controlnet.errors import SettingError
from controlnet.files import whole

MARK: Final = "demo.json"


@dataclass(frozen=True)
class Folder:
    """data/, training/, sheet.png, curve.png, shipped.png, metrics.json, index.html and demo.json."""

    root: Path

    @property
    def data(self) -> Path:
        """The rendered scenes, a data set like any other."""
        return self.root / "data"

    @property
    def training(self) -> Path:
        """The training run, a run like any other."""
        return self.root / "training"

    @property
    def sheet(self) -> Path:
        """Held-out scenes, before, on the way, and after."""
        return self.root / "sheet.png"

    @property
    def curve(self) -> Path:
        """Adherence and control gain over the steps."""
        return self.root / "curve.png"

    @property
    def shipped(self) -> Path:
        """Pictures by the shipped ControlNets."""
        return self.root / "shipped.png"

    @property
    def metrics(self) -> Path:
        """Every number that the page shows."""
        return self.root / "metrics.json"

    @property
    def page(self) -> Path:
        """The page that shows it all."""
        return self.root / "index.html"

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of the block to those that a stage has taken so far, interrupted or not."""
        began = time.monotonic()
        try:
            yield
        finally:
            content = _read(self.root)
            seconds = content.setdefault("seconds", {})
            seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - began, 1)
            _write(self.root, content)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of work by stage, all calls taken together."""
        return _read(self.root).get("seconds", {})

    def finish(self) -> None:
        """Note that the demo is complete."""
        _write(self.root, _read(self.root) | {"finished": True})


def enter(root: Path, settings: Mapping[str, Any], fresh: bool) -> tuple[Folder, bool]:
    """Open the folder for a demo with these settings; tell whether an unfinished one goes on there.

    An unfinished demo of the same settings goes on; a finished one of the same settings, and any with
    `fresh`, is removed and begun anew. Raises SettingError for one of other settings and for a folder that
    holds other things.
    """
    settings = json.loads(json.dumps(settings))
    found = _read(root)
    if root.exists() and not root.is_dir():
        raise SettingError(f"{root} is a file; wanted a folder for the demo: choose another --out")
    if not found and root.is_dir() and any(root.iterdir()):
        raise SettingError(f"{root} holds something else than a demo; choose another --out")
    was = found.get("settings", settings)
    if was != settings and not fresh:
        changed = [key for key in settings if was.get(key) != settings[key]]
        told = "; ".join(f"{key} was {was.get(key)!r} and is {settings[key]!r}" for key in changed)
        raise SettingError(
            f"{root} holds a demo of other settings ({told}); begin anew with --fresh, or choose another "
            "--out"
        )
    folder = Folder(root)
    goes_on = bool(found) and not fresh and not found.get("finished")
    if not goes_on:
        _clear(folder)
        root.mkdir(parents=True, exist_ok=True)
        _write(root, {"settings": settings, "finished": False})
    return folder, goes_on


def _clear(folder: Folder) -> None:
    """Remove what a demo writes, and nothing else."""
    for tree in (folder.data, folder.training):
        if tree.exists():
            shutil.rmtree(tree)
    for file in (folder.sheet, folder.curve, folder.shipped, folder.metrics, folder.page, folder.root / MARK):
        file.unlink(missing_ok=True)


def _read(root: Path) -> dict[str, Any]:
    try:
        content = json.loads((root / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(root: Path, content: Mapping[str, Any]) -> None:
    with whole(root / MARK) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
