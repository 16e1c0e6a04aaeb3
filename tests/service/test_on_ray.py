"""Two replicas of Ray Serve on this machine: jobs land on both; one that dies takes only its own along."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import controlnet as cn
from controlnet.service import Catalog, Engine, Generate, Job, Limits, Settings, Unit
from tests.service.test_engine import LONG, made, pixels, until

pytestmark = pytest.mark.slow
pytest.importorskip("ray.serve", reason="the extra ray-serve is absent", exc_type=ImportError)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    from controlnet.service.on_ray import Replicas

    catalog, settings, limits = Catalog.of(), Settings(devices=("cpu",), threads=1), Limits(grace=20)
    engine = Engine(catalog, settings, limits, Replicas(catalog, settings, limits, 2))
    engine.start()
    try:
        both_ready(engine)
        yield engine
    finally:
        engine.stop()


def both_ready(engine: Engine) -> None:
    wait(lambda: all(worker["ready"] for worker in engine.usage()) or engine.trouble is not None)
    assert engine.trouble is None


def wait(true: Callable[[], bool]) -> None:
    for _ in range(1500):
        if true():
            return
        threading.Event().wait(0.2)
    raise AssertionError("it did not come to be")


def jobs_in_work(engine: Engine) -> list[Job]:
    """Submit a long job for each replica, and return when both are past their second step."""
    jobs = [engine.submit(Generate("shapes", "a cube", seed=k, **LONG)) for k in range(2)]
    for job in jobs:
        until(job, lambda job: job.step > 2)
    return jobs


def test_pictures_are_those_of_generate_and_jobs_land_on_both_replicas(engine, scene):
    units = (Unit("canny", scene, "canny"),)
    jobs = [
        engine.submit(Generate("shapes", "a red cube", units=units, steps=3, seed=k, preview=True))
        for k in range(4)
    ]
    wait(lambda: engine.counts() == (2, 2))  # two at once, for each replica has room for one
    base = cn.load_base("shapes")
    control = cn.Control(cn.load_controlnet("canny", base), cn.annotate("canny", scene))
    for k, job in enumerate(map(made, jobs)):
        (wanted,) = cn.generate(base, "a red cube", [control], steps=3, seed=k)
        assert np.array_equal(pixels(job.pictures[0].png), np.asarray(wanted))
        assert job.step == job.steps and job.preview is not None
    assert len({worker["process"] for worker in engine.usage()} - {os.getpid()}) == 2


def test_a_job_is_ended_in_the_middle_of_its_loop(engine):
    dropped, kept = jobs_in_work(engine)
    engine.cancel(dropped)
    engine.cancel(kept, keep=True)
    assert dropped.wait(60) and dropped.state == "cancelled" and dropped.step < dropped.steps
    assert kept.wait(60) and kept.state == "done" and kept.interrupted and len(kept.pictures) == 1


def test_a_replica_that_dies_fails_its_own_job_and_is_replaced(engine):
    jobs = jobs_in_work(engine)
    dead = engine.usage()[0]["process"]
    os.kill(dead, signal.SIGKILL)
    wait(lambda: any(job.over for job in jobs))
    (lost,) = [job for job in jobs if job.over]
    (other,) = [job for job in jobs if not job.over]
    assert lost.failure is not None and lost.failure.kind == "WorkerDied"
    engine.cancel(other)
    assert other.wait(60) and other.state == "cancelled"
    made(engine.submit(Generate("shapes", "a cube", steps=1, seed=1, width=64, height=64)))
    both_ready(engine)
    assert dead not in {worker["process"] for worker in engine.usage()} and engine.tally.restarts == 1


def test_a_replica_that_hangs_is_killed_and_replaced(engine):
    jobs = jobs_in_work(engine)
    hung = engine.usage()[0]["process"]
    os.kill(hung, signal.SIGSTOP)
    for job in jobs:
        engine.cancel(job)
    assert all(job.wait(120) for job in jobs)
    assert sorted(job.state for job in jobs) == ["cancelled", "failed"]
    both_ready(engine)
    assert hung not in {worker["process"] for worker in engine.usage()}
    made(engine.submit(Generate("shapes", "a cube", steps=1, seed=1, width=64, height=64)))
