"""What the service answers instead of a result, beyond the errors of the library."""

from controlnet.errors import ServiceError


class Busy(ServiceError):
    """No room for another job now; retry_after tells after how many seconds there may be."""

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Closing(ServiceError):
    """The service is about to stop, or has no worker, and takes no more jobs."""


class TooLarge(ServiceError):
    """More bytes than the service takes."""


class JobFailed(ServiceError):
    """A job did not come to its end; kind is the error's name, mistaken whether the request was to blame."""

    def __init__(self, kind: str, message: str, mistaken: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.mistaken = mistaken
