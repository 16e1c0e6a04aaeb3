"""Who may talk to the service: hosts, origins, the token, and how much may be sent."""

import hmac
import ipaddress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from controlnet.errors import SettingError

COOKIE: Final = "controlnet_token"
SHORTEST: Final = 16


@dataclass(frozen=True)
class Policy:
    """What is let in.

    token: None lets everybody in, which is for a service that listens to its own machine alone. hosts: names
    by which the service is called, besides addresses and localhost (a page elsewhere that has its own name
    point here is refused by that). origins: of pages elsewhere that may call. public: paths that need no
    token. body: bytes; seconds: for a body to arrive.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    public: frozenset[str] = frozenset({"/", "/live", "/ready", "/v1/session"})
    body: int = 32 * 2**20
    seconds: float = 60.0
    scripts: str = field(default="'self'")

    def __post_init__(self) -> None:
        if self.token is not None and not (len(self.token) >= SHORTEST and self.token.isascii()):
            raise SettingError(
                f"the token has {len(self.token)} characters; wanted {SHORTEST} or more of ASCII, as "
                '`python -c "import secrets; print(secrets.token_urlsafe())"` prints'
            )

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this service: an address, localhost, or one of the names."""
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        return name == "localhost" or name in self.hosts or is_address(name)

    def knows_origin(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may change something: the service's own, or one that was named."""
        try:
            return origin in self.origins or urlsplit(origin).netloc == host
        except ValueError:
            return False

    def admits(self, path: str, given: list[str]) -> bool:
        """Whether one of the tokens given is right, or none is needed; takes the same time for all."""
        if self.token is None or path in self.public or path.startswith("/assets/"):
            return True
        right = self.token.encode()
        return any([hmac.compare_digest(token.encode("utf-8", "replace"), right) for token in given])


def is_address(name: str) -> bool:
    """Whether a host is written as an address and not as a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a service that listens there."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
