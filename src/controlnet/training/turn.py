"""From one phase to the next.

A phase ends after a step, with a state that says which phase goes on from it; the next begins by building the
run anew from that state. So a run that was killed there and resumed goes on exactly as one that was not:
there is no other way for either.
"""

import logging
from collections.abc import Mapping
from typing import Any

from controlnet.registry import get
from controlnet.training.book import Book
from controlnet.training.folder import RunFolder
from controlnet.training.state import newest
from controlnet.training.workshop import Workshop

log = logging.getLogger(__name__)


def end_phase(shop: Workshop, book: Book, record: Mapping[str, Any]) -> bool:
    """Tell whether the phase is over after a step, whose record this is; note it in the books if so."""
    stage, plan = shop.stage, shop.plan
    if stage.until is None:
        return False
    upwards = True
    if "adherence" in record and plan.watch.adherence is not None:
        upwards = get("metrics", plan.watch.adherence).higher_is_better
    why = stage.until.reached(record["step"], record, book.watch.arrived, upwards)
    if why is None:
        return False
    following = plan.stages[stage.number + 1].told()
    log.info("phase %d of %d is over: %s", stage.number + 1, len(plan.stages), why)
    book.note(record["step"], "another phase", {"because": why, **following})
    return True


def begin_phase(shop: Workshop, folder: RunFolder) -> None:
    """Go on in the next phase from the state that was written at the end of the one before."""
    shop.engine.wait()
    state = newest(folder.states)
    assert state is not None, "a phase ends with a state"
    shop.next_phase(state)
    stage = shop.stage
    what = "the middle alone" if stage.connect == "middle" else "all connections"
    also = ", and the base's decoder is trained along" if stage.unlock == "decoder" else ""
    log.info("phase %d begins: %s%s", stage.number + 1, what, also)
