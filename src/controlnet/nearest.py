"""What to say to a name that nobody answers to: the near ones."""

from collections.abc import Iterable
from difflib import get_close_matches


def near(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three of the names that look like `name`, the likeliest first, whatever their case."""
    folded = {known.casefold(): known for known in names}
    return [folded[match] for match in get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]


def unknown(noun: str, name: str, names: Iterable[str]) -> str:
    """Return the message for a name that is not among `names`: the near ones, else all of them."""
    known = tuple(names)
    likely = near(name, known)
    if likely:
        return f"no {noun} is called {quoted(name)}; did you mean {' or '.join(likely)}?"
    return f"no {noun} is called {quoted(name)}; there are: {', '.join(sorted(known)) or 'none'}"


def quoted(value: object, longest: int = 80) -> str:
    """Return the value's repr, cut to fit into a message of one line."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
