"""One engine and one queue behind the page, the HTTP service and whatever else serves pictures."""

from controlnet.service.catalog import Catalog, Model
from controlnet.service.engine import Engine
from controlnet.service.job import Job, Made, State
from controlnet.service.limits import Limits
from controlnet.service.refusals import Busy, Closing, JobFailed, TooLarge
from controlnet.service.requests import Annotate, Generate, Request, SecondPass, Unit
from controlnet.service.settings import Settings

__all__ = [
    "Annotate",
    "Busy",
    "Catalog",
    "Closing",
    "Engine",
    "Generate",
    "Job",
    "JobFailed",
    "Limits",
    "Made",
    "Model",
    "Request",
    "SecondPass",
    "Settings",
    "State",
    "TooLarge",
    "Unit",
]
