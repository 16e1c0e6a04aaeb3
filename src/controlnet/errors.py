"""The exception tree.

    ControlNetError
    ├── SettingError      an argument or option that cannot be meant
    │   ├── PlanError     a training plan that cannot be read or followed
    │   └── UnknownName   a condition, format, metric … that nobody offers
    ├── DataError         a picture, caption or data set that cannot be used
    ├── CheckpointError   a weight file that is broken, foreign or does not fit
    ├── MissingWeights    a detector's weight file that is not on this machine
    ├── ShapeError        tensors or pictures of sizes that do not go together
    ├── MissingExtra      an optional dependency that is not installed
    ├── TrainingStopped   a run that ended early, with its state saved
    │   └── TrainingDiverged  one whose loss is no number, or blew up
    └── ServiceError      a request that the service cannot answer

Every message says what was got, what was wanted, and the mend. The command line prints it as one line and
exits with status 2 for what the user can mend; the HTTP service maps the same tree to status codes.
"""

from typing import Final


class ControlNetError(Exception):
    """Any error that this package raises on purpose."""


class SettingError(ControlNetError, ValueError):
    """An argument or option whose value cannot be meant."""


class PlanError(SettingError):
    """A training plan that cannot be read or followed."""


class UnknownName(SettingError):
    """A name that no plug-in answers to; the message lists the nearest ones."""


class DataError(ControlNetError):
    """A picture, caption or data set that cannot be used."""


class CheckpointError(ControlNetError):
    """A weight file that is broken, foreign, or does not fit the base."""


class MissingWeights(ControlNetError):
    """A detector's weight file that is not on this machine; the message says how to get it."""


class ShapeError(ControlNetError, ValueError):
    """Tensors or pictures whose sizes do not go together."""


class MissingExtra(ControlNetError, ImportError):
    """An optional dependency that is not installed; the message names the extra."""


class TrainingStopped(ControlNetError):
    """A run that ended early (Ctrl-C, SIGTERM, divergence) with its state saved."""


class TrainingDiverged(TrainingStopped):
    """A run whose loss is no number or blew up; the message names the last good state."""


class ServiceError(ControlNetError):
    """A request that the service cannot answer."""


MENDABLE: Final = (SettingError, DataError, ShapeError, CheckpointError, MissingExtra, MissingWeights)
"""What whoever asked can mend: the command line's exit status 2, a service's refusal of the request."""
