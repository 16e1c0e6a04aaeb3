"""Whether there is room for one more job, and when there may be."""

from collections.abc import Sequence
from math import ceil
from typing import Final

from controlnet.service.job import Job
from controlnet.service.limits import Limits
from controlnet.service.tally import Tally

LONGEST: Final = 120  # seconds that a client is asked to wait


def refusal(
    job: Job, running: Sequence[Job], waiting: Sequence[Job], limits: Limits
) -> tuple[str, str] | None:
    """Return why there is no room for a job, as a word and as a sentence; None if there is."""
    active = [*running, *waiting]
    mine = sum(other.client == job.client for other in active)
    if len(waiting) >= limits.queue:
        return "queue", f"{len(waiting)} jobs wait already"
    if mine >= limits.per_client:
        return "client", f"{mine} of your jobs wait or run already"
    if sum(other.held for other in active) + job.held > limits.waiting_bytes:
        return "memory", "the pictures of waiting jobs fill the memory that is meant for them"
    return None


def retry_after(tally: Tally, waiting: int, hands: int) -> int:
    """Return the seconds after which those that wait now will be made, going by the jobs so far."""
    each = tally.pace or 1.0
    return min(max(ceil(each * max(1, waiting) / hands), 1), LONGEST)
