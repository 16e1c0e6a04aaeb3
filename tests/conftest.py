"""What holds for every test: no network, few threads, the same examples each time."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

# Before any import that reads them.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_MODE": "offline",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "100",
    "NO_COLOR": "1",
}
os.environ.pop("CONTROLNET_DEBUG", None)

# A job in the background of a shell ignores Ctrl-C, and so would the processes that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")


@pytest.fixture(scope="module", autouse=True)
def no_networks_are_left_over() -> Iterator[None]:
    """Let go of the annotators' networks that a test module has placed or loaded."""
    yield
    load = sys.modules.get("controlnet.conditions._networks.load")
    if load is not None:
        load.forget()
