"""The engine with a worker: what comes out, what is ended, what dies."""

import io
import os
import signal
import threading

import numpy as np
import pytest
from PIL import Image

import controlnet as cn
from controlnet.errors import SettingError, UnknownName
from controlnet.service import Annotate, Engine, Generate, Job, Unit

LONG = {"steps": 150, "count": 4, "width": 64, "height": 64}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def until(job: Job, true) -> None:
    """Wait until something is true of a job."""
    came = threading.Event()
    stop = job.listen(lambda: came.set() if true(job) else None)
    try:
        assert true(job) or came.wait(120), (job.state, job.failure)
    finally:
        stop()


def made(job: Job) -> Job:
    assert job.wait(300)
    assert job.state == "done", job.failure
    return job


def test_a_picture_is_what_generate_makes_whatever_is_made_beside_it(engine, scene):
    request = Generate(
        "shapes", "a red cube", units=(Unit("canny", scene, "canny"),), steps=2, seed=5, count=2
    )
    jobs = [
        engine.submit(Generate("shapes", "a blue ball", steps=2, seed=1, width=128, height=128)),
        engine.submit(request),
        engine.submit(Generate("shapes", "a blue ball", steps=2, seed=2, width=128, height=128)),
    ]
    first, job, last = map(made, jobs)
    base = cn.load_base("shapes")
    edges = cn.annotate("canny", scene)
    control = cn.Control(cn.load_controlnet("canny", base), edges)
    wanted = cn.generate(base, "a red cube", [control], steps=2, seed=5, count=2)
    assert [picture.seed for picture in job.pictures] == [5, 6]
    for got, picture in zip(job.pictures, wanted, strict=True):
        assert np.array_equal(pixels(got.png), np.asarray(picture))
    assert np.array_equal(pixels(job.maps[0]), edges)
    alone = cn.generate(base, "a blue ball", steps=2, seed=2)[0]
    assert np.array_equal(pixels(last.pictures[0].png), np.asarray(alone))
    assert first.pictures[0].png != last.pictures[0].png


def test_a_picture_tells_how_it_was_made(engine, scene):
    job = made(engine.submit(Generate("shapes", "a cube – é", steps=1, seed=9, width=64, height=64)))
    with Image.open(io.BytesIO(job.pictures[0].png)) as image:
        assert image.info["parameters"] == job.pictures[0].text
        assert "Seed: 9" in image.info["parameters"] and image.info["parameters"].startswith("a cube – é")
    assert job.told["record"]["prompt"] == "a cube – é"


def test_progress_and_preview_are_told(engine):
    seen = []
    job = engine.submit(Generate("shapes", "a cube", steps=8, seed=1, width=64, height=64, preview=True))
    stop = job.listen(lambda: seen.append((job.step, job.steps)))
    made(job)
    stop()
    assert (8, 8) in seen and job.progress == 1.0
    assert job.preview is not None and Image.open(io.BytesIO(job.preview)).format == "JPEG"


def test_a_job_in_work_is_cancelled_in_the_middle_of_its_loop(engine):
    job = engine.submit(Generate("shapes", "a cube", seed=1, **LONG))
    until(job, lambda job: job.step > 2)
    engine.cancel(job)
    assert job.wait(60) and job.state == "cancelled" and job.step < job.steps and not job.pictures


def test_an_interrupted_job_is_done_with_what_is_there(engine):
    job = engine.submit(Generate("shapes", "a cube", seed=1, **LONG))
    until(job, lambda job: job.step > 2)
    engine.cancel(job, keep=True)
    assert job.wait(60) and job.state == "done" and job.interrupted and len(job.pictures) == 1


def test_skipping_goes_on_with_the_next_picture(engine):
    job = engine.submit(Generate("shapes", "a cube", seed=1, **{**LONG, "count": 2}))
    until(job, lambda job: job.step > 2)
    engine.skip(job)
    until(job, lambda job: len(job.pictures) == 1)
    assert job.state == "running"
    engine.cancel(job)
    assert job.wait(60)


def test_a_waiting_job_is_cancelled_at_once(engine):
    first = engine.submit(Generate("shapes", "a cube", seed=1, **LONG))
    second = engine.submit(Generate("shapes", "a cube", seed=2, **LONG))
    until(first, lambda job: job.state == "running")
    assert engine.position(second) == 0
    engine.cancel(second)
    assert second.state == "cancelled" and second.begun is None
    engine.cancel(first)
    assert first.wait(60)


def test_a_deadline_ends_a_job_that_waits_and_one_that_runs(engine):
    running = engine.submit(Generate("shapes", "a cube", seed=1, **LONG), deadline=2)
    waiting = engine.submit(Generate("shapes", "a cube", seed=2, **LONG), deadline=0.1)
    assert waiting.wait(60) and running.wait(60)
    for job in (waiting, running):
        assert job.state == "failed" and job.failure is not None and job.failure.kind == "Deadline"


def test_a_worker_that_dies_is_replaced_and_its_job_fails_clearly(engine):
    job = engine.submit(Generate("shapes", "a cube", seed=1, **LONG))
    until(job, lambda job: job.step > 0)
    before = engine.tally.restarts
    os.kill(engine._hands[0].usage["process"], signal.SIGSEGV)
    assert job.wait(60) and job.state == "failed" and job.failure is not None
    assert job.failure.kind == "WorkerDied" and "SIGSEGV" in str(job.failure) and not job.failure.mistaken
    made(engine.submit(Generate("shapes", "a cube", steps=1, seed=1, width=64, height=64)))
    assert engine.tally.restarts == before + 1


def test_a_worker_that_dies_idle_costs_nobody_a_job(engine):
    made(engine.submit(Generate("shapes", "a cube", steps=1, seed=1, width=64, height=64)))
    os.kill(engine._hands[0].usage["process"], signal.SIGKILL)
    made(engine.submit(Generate("shapes", "a cube", steps=1, seed=1, width=64, height=64)))


def test_maps_and_their_failures(engine, scene):
    job = made(engine.submit(Annotate("canny(low=50)", (scene, scene[:64]))))
    assert np.array_equal(pixels(job.maps[0]), cn.annotate("canny(low=50)", scene)) and len(job.maps) == 2
    lacking = engine.submit(Annotate("depth_midas", (scene,)))
    assert lacking.wait(60) and lacking.failure is not None and lacking.failure.mistaken
    assert lacking.failure.kind == "MissingWeights" and "/" not in str(lacking.failure).split("licence")[0]


def test_a_control_that_fails_fails_the_job(engine, scene):
    units = (Unit("canny", scene, "canny"), Unit("canny", scene, "depth_midas"))
    job = engine.submit(Generate("shapes", "a cube", units=units, steps=1, width=64, height=64))
    assert job.wait(60) and job.state == "failed" and not job.pictures
    assert job.failure is not None and str(job.failure).startswith("controls[1]: ")


def test_a_size_that_the_base_cannot_make_is_refused_or_brought_back(engine):
    job = engine.submit(Generate("shapes", "a cube", steps=1, width=100, height=64))
    assert job.wait(60) and job.failure is not None and job.failure.kind == "ShapeError"
    job = made(engine.submit(Generate("shapes", "a cube", steps=1, width=100, height=64, whole_size=True)))
    assert pixels(job.pictures[0].png).shape == (64, 100, 3)


def test_a_second_pass_is_what_hires_makes(engine, scene):
    from controlnet.service import SecondPass

    second = SecondPass(2.0, 0.5, upscaler="lanczos")
    size = {"steps": 2, "width": 64, "height": 64}
    request = Generate("shapes", "a cube", seed=3, second=second, preview=True, **size)
    job = made(engine.submit(request))
    base = cn.load_base("shapes")
    wanted = cn.hires(base, "a cube", width=64, height=64, scale=2, strength=0.5, seed=3, steps=2)[0]
    assert np.array_equal(pixels(job.pictures[0].png), np.asarray(wanted))
    assert job.preview_number > 0 and "Hires upscale: 2.0" in job.pictures[0].text
    with pytest.raises(SettingError, match="second and image"):
        engine.submit(Generate("shapes", "a cube", second=second, image=scene, **size))


def test_a_masked_area_is_painted_and_put_back(engine, scene):
    mask = np.zeros_like(scene)
    mask[40:80, 40:80] = 255
    request = Generate(
        "shapes", "a cube", steps=3, seed=3, width=64, height=64, image=scene, mask=mask, strength=0.9,
        area=(30, 30, 90, 90), blur=2,
    )  # fmt: skip
    got = pixels(made(engine.submit(request)).pictures[0].png)
    assert got.shape == scene.shape
    assert np.array_equal(got[:28], scene[:28]) and not np.array_equal(got[50:70, 50:70], scene[50:70, 50:70])


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"base": "other"}, UnknownName, "base"),
        ({"base": "/etc/passwd"}, UnknownName, "base"),
        ({"steps": 151}, SettingError, "steps"),
        ({"count": 17}, SettingError, "count"),
        ({"width": 4096, "height": 4096}, SettingError, "width"),
        ({"guidance_scale": float("nan")}, SettingError, "guidance_scale"),
        ({"prompt": "x" * 10_001}, SettingError, "prompt"),
        ({"sampler": "nonsense"}, UnknownName, "sampler"),
        ({"strength": 0.5}, SettingError, "image"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_it_is_queued(engine: Engine, change, error, word):
    before = engine.counts()
    with pytest.raises(error, match=word):
        engine.submit(Generate(**{"base": "shapes", "prompt": "a cube", **change}))
    assert engine.counts() == before


@pytest.mark.parametrize(
    "spec", ["os:system", "controlnet.conditions.canny:Canny", "nonsense", "canny(low=0)"]
)
def test_a_condition_is_named_and_never_addressed(engine: Engine, scene, spec):
    with pytest.raises(SettingError):
        engine.submit(Annotate(spec, (scene,)))
