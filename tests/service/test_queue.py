"""The queue by itself: no worker is started, the test takes its place."""

import numpy as np
import pytest

from controlnet.service import Busy, Catalog, Closing, Engine, Generate, Job, Limits, Made, Settings


def queue(**limits) -> Engine:
    return Engine(Catalog.of(), Settings(devices=("cpu",), batch=4), Limits(**limits))


def asked(seed: int = 0, **settings) -> Generate:
    return Generate("shapes", "a cube", seed=seed, **{"width": 64, "height": 64, **settings})


def test_the_queue_is_bounded_and_says_when_to_come_again():
    engine = queue(queue=2)
    engine.submit(asked(), "a")
    engine.submit(asked(), "b")
    with pytest.raises(Busy) as refused:
        engine.submit(asked(), "c")
    assert refused.value.reason == "queue" and refused.value.retry_after >= 1
    assert engine.tally.refusals == {"queue": 1}


def test_when_to_come_again_goes_by_the_time_of_a_group_and_not_of_each_job_in_it():
    engine = queue(queue=4)
    jobs = [engine.submit(asked(k)) for k in range(4)]
    assert engine.take(0) == jobs
    for job in jobs:
        job.begun = job.born - 8.0  # as if the group of four had taken eight seconds
        engine.finish(job, "done", {})
    for k in range(4):
        engine.submit(asked(k))
    with pytest.raises(Busy) as refused:
        engine.submit(asked(9))
    assert refused.value.retry_after in (8, 9)  # and not 32


def test_one_client_does_not_take_the_whole_queue():
    engine = queue(per_client=2)
    engine.submit(asked(), "a")
    engine.submit(asked(), "a")
    with pytest.raises(Busy) as refused:
        engine.submit(asked(), "a")
    assert refused.value.reason == "client"
    engine.submit(asked(), "b")


def test_the_pictures_of_waiting_jobs_are_bounded():
    engine = queue(waiting_bytes=64 * 64 * 3)
    image = np.zeros((64, 64, 3), np.uint8)
    engine.submit(asked(image=image, strength=0.5), "a")
    with pytest.raises(Busy) as refused:
        engine.submit(asked(image=image, strength=0.5), "b")
    assert refused.value.reason == "memory"


def test_jobs_of_one_kind_that_wait_are_taken_together_up_to_the_batch():
    engine = queue()
    jobs = [engine.submit(asked(k)) for k in range(3)]
    other = engine.submit(asked(steps=3))
    more = [engine.submit(asked(k)) for k in range(3)]
    assert engine.take(0) == [*jobs, more[0]]
    assert engine.take(0) == [other]
    assert engine.take(0) == more[1:]
    assert engine.take(0) == []


@pytest.mark.parametrize(
    "change",
    [{"steps": 3}, {"width": 128}, {"sampler": "euler"}, {"guidance_scale": 1.0}, {"clip_skip": 2}],
)
def test_what_differs_in_more_than_prompt_and_seed_is_another_kind(change):
    assert asked(1).kind == asked(2).kind != asked(**change).kind


def test_jobs_whose_company_was_lost_are_each_tried_alone_and_then_fail():
    engine = queue()
    first, second = engine.submit(asked(1)), engine.submit(asked(2))
    group = engine.take(0)
    engine.add(first, Made(b"half of a picture"))
    engine.lost(group, "signal SIGKILL")
    assert [job.state for job in (first, second)] == ["waiting", "waiting"] and not first.pictures
    assert engine.take(0) == [first]
    engine.lost([first], "signal SIGKILL")
    assert first.state == "failed" and first.failure is not None and "SIGKILL" in str(first.failure)
    assert engine.take(0) == [second]


def test_a_finished_job_is_kept_for_a_while_and_within_bounds():
    engine = queue(kept=2)
    jobs = [engine.submit(asked(k)) for k in range(4)]
    for job in jobs:
        engine.take(0)
        engine.finish(job, "done", {})
    engine._keeper.start()
    engine._keeper.join(timeout=1.5)
    assert [engine.job(job.id) is not None for job in jobs] == [False, False, True, True]
    engine.forget(jobs[3])
    assert engine.job(jobs[3].id) is None
    engine.stop()


def test_a_job_that_is_over_holds_no_pictures_of_its_request():
    engine = queue()
    job = engine.submit(asked(image=np.zeros((64, 64, 3), np.uint8), strength=0.5))
    engine.take(0)
    assert job.held == 64 * 64 * 3
    engine.finish(job, "done", {})
    assert job.request is None and job.held == 0


def test_a_draining_engine_takes_no_more_and_waits_for_the_rest():
    engine = queue()
    job = engine.submit(asked())
    assert not engine.drain(0.01)
    with pytest.raises(Closing):
        engine.submit(asked())
    engine.take(0)
    engine.finish(job, "done", {})
    assert engine.drain(1)


def test_a_stopped_engine_fails_what_waits():
    engine = queue()
    job = engine.submit(asked())
    engine.stop()
    assert job.state == "failed" and job.failure is not None and job.failure.kind == "Closing"


def test_ids_cannot_be_guessed():
    ids = {Job(asked(), "", 0).id for _ in range(100)}
    assert len(ids) == 100 and all(len(id) >= 22 for id in ids)
