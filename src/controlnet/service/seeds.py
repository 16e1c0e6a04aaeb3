"""Seeds that nobody chose."""

import secrets


def drawn(seed: int | None) -> int:
    """Return the seed, or a random one in place of None or a negative number."""
    return secrets.randbelow(2**32) if seed is None or seed < 0 else seed
