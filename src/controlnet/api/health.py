"""Whether the service lives, whether it is ready, and its figures for Prometheus."""

import asyncio
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from pydantic import BaseModel

from controlnet.service import Engine
from controlnet.service.tally import BOUNDS, Histogram


class Live(BaseModel):
    """The service answers."""

    live: bool = True


class Ready(BaseModel):
    """Whether a job that comes now would be made, and why not."""

    ready: bool
    detail: str


def router(engine: Engine) -> APIRouter:
    """Make the routes over an engine; none of them waits for a computation."""
    routes = APIRouter(tags=["health"])
    registry = CollectorRegistry()
    registry.register(_Figures(engine))  # type: ignore[arg-type]  # any object with `collect` will do

    @routes.get("/live")
    async def live() -> Live:
        """Tell that the service answers; it does under any load."""
        return Live()

    @routes.get("/ready", responses={503: {"model": Ready, "description": "not now"}})
    async def ready(response: Response) -> Ready:
        """Tell whether a worker has its base and takes jobs."""
        if engine.ready:
            return Ready(ready=True, detail="ready")
        response.status_code = 503
        return Ready(ready=False, detail=engine.trouble or "starting or stopping")

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Give the figures in Prometheus' text form."""
        text = await asyncio.to_thread(generate_latest, registry)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


class _Figures:
    """Reads the engine's figures whenever Prometheus asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Any]:
        tally = self._engine.tally
        running, waiting = self._engine.counts()
        yield GaugeMetricFamily("controlnet_jobs_waiting", "Jobs in the queue", waiting)
        yield GaugeMetricFamily("controlnet_jobs_running", "Jobs in work", running)
        workers = self._engine.usage()
        up = sum(worker["ready"] for worker in workers)
        yield GaugeMetricFamily("controlnet_workers_ready", "Workers that have their base", up)
        for name, text in (("models", "Bytes of models in memory"), ("resident", "Bytes of the process")):
            gauge = GaugeMetricFamily(f"controlnet_worker_{name}_bytes", text, labels=["worker"])
            for number, worker in enumerate(workers):
                gauge.add_metric([str(number)], worker.get(name, 0))
            yield gauge
        outcomes = CounterMetricFamily("controlnet_jobs", "Jobs that are over", labels=["outcome"])
        for outcome in ("done", "failed", "cancelled"):
            outcomes.add_metric([outcome], tally.outcomes[outcome])
        yield outcomes
        refusals = CounterMetricFamily("controlnet_refusals", "Jobs that had no room", labels=["reason"])
        for reason in ("queue", "client", "memory"):
            refusals.add_metric([reason], tally.refusals[reason])
        yield refusals
        yield CounterMetricFamily("controlnet_pictures", "Pictures made", tally.pictures)
        yield CounterMetricFamily("controlnet_worker_restarts", "Workers replaced", tally.restarts)
        groups, jobs = sum(tally.companies.values()), sum(n * k for n, k in tally.companies.items())
        yield CounterMetricFamily("controlnet_groups", "Groups of jobs made together", groups)
        yield CounterMetricFamily("controlnet_grouped_jobs", "Jobs in these groups", jobs)
        yield _histogram("controlnet_wait_seconds", "From arrival to work", tally.waited)
        yield _histogram("controlnet_run_seconds", "From work to end", tally.ran)


def _histogram(name: str, text: str, values: Histogram) -> HistogramMetricFamily:
    below, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), list(values.counts), strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=values.sum)
