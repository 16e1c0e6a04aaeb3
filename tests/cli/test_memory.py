"""Freed memory is kept, as the page faults of a process that churns through memory tell."""

import platform
import subprocess
import sys

import pytest

CHURN = """
import resource, sys
from controlnet.cli._memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def churn():
    pieces = [bytearray(6 << 20) for _ in range(8)]
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CHURN, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in its own way")
def test_memory_that_was_freed_is_not_asked_for_again() -> None:
    assert faults("keep") < faults("leave") / 10
