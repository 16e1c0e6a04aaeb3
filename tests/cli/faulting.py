"""A disk that is full, and the one line that tells of it."""

import os
import resource
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from controlnet.cli.app import main


def limited(command: list[str], limit: int) -> tuple[int, str]:
    """Run a command in a child whose files may not become longer; return its status and what it said."""
    listen, speak = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.dup2(speak, 2)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            status = main(command)
            sys.stderr.flush()
        finally:
            os._exit(status)
    os.close(speak)
    with os.fdopen(listen) as said:
        told = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told


def the_line(told: str) -> str:
    """Return the one line of the mistake."""
    lines = [line for line in told.splitlines() if line.startswith("controlnet: ")]
    assert len(lines) == 1 and "Traceback" not in told, told
    return lines[0]


def pictures(folder: Path, count: int) -> None:
    """Make a folder of captioned pictures."""
    folder.mkdir()
    for number in range(count):
        spots = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(spots).resize((64, 64), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text("spots")
