"""Plans of other versions: what each says of its own, and what is said to one from the future.

A plan without a version is of the first. A key that is added later has a default that means what was done
before it, so older plans are read as they are; what cannot be, is to be brought up to date here.
"""

from typing import Any, Final

from controlnet.errors import PlanError

VERSION: Final = 1


def current(values: dict[str, Any], subject: str) -> dict[str, Any]:
    """Return the values of a plan without its version; PlanError, headed by the subject, for a newer one."""
    found = values.pop("version", VERSION)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise PlanError(f"{subject}: version is {found!r}, wanted a whole number from 1; leave the line out")
    if found > VERSION:
        raise PlanError(
            f"{subject} is of version {found}, and this controlnet reads plans up to version {VERSION}; "
            "a newer one has written it: pip install --upgrade controlnet"
        )
    return values
