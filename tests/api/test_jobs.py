"""The jobs API: submit, watch, download, cancel."""

import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

import controlnet as cn


def submit(client, **body) -> dict:
    wanted = {"prompt": "a red cube", "steps": 1, "width": 64, "height": 64, "seed": 3, **body}
    answer = client.post("/v1/jobs", json={k: v for k, v in wanted.items() if v is not ...})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return answer.json()


def events(client, id: str) -> list[tuple[str, dict]]:
    """Read a job's events to their end."""
    text = client.get(f"/v1/jobs/{id}/events").text
    blocks = [
        dict(line.split(": ", 1) for line in block.split("\n")) for block in text.split("\n\n") if block
    ]
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


def test_a_job_from_its_submission_to_its_pictures(client, sent, scene):
    control = {"controlnet": "canny", "image": sent, "annotate": "canny(low=50)"}
    job = submit(client, controls=[control], count=2, steps=2, preview=True, width=..., height=...)
    assert job["state"] in ("waiting", "running") and job["settings"] == {}
    seen = events(client, job["id"])
    kinds = {name for name, _ in seen}
    assert kinds == {"job", "preview"}
    assert all(
        data["image"].startswith("data:image/jpeg;base64,") for name, data in seen if name == "preview"
    )
    last = seen[-1][1]
    assert last["state"] == "done" and last["progress"] == 1 and last["error"] is None
    assert [picture["seed"] for picture in last["pictures"]] == [3, 4]
    assert last["settings"]["controls"][0]["annotator"] == "canny(low=50)"
    assert last == client.get(f"/v1/jobs/{job['id']}").json()

    base = cn.load_base("shapes")
    edges = cn.annotate("canny(low=50)", scene)
    net = cn.load_controlnet("canny", base)
    wanted = cn.generate(base, "a red cube", [cn.Control(net, edges)], steps=2, seed=3, count=2)
    for view, picture in zip(last["pictures"], wanted, strict=True):
        answer = client.get(view["url"])
        assert answer.headers["content-type"] == "image/png"
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), np.asarray(picture))
    got = np.asarray(Image.open(io.BytesIO(client.get(last["maps"][0]).content)))
    assert np.array_equal(got, edges)
    assert client.get(last["preview"]).headers["content-type"] == "image/jpeg"
    assert client.get(f"/v1/jobs/{job['id']}/pictures/2").status_code == 404

    assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "done"
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_a_seed_that_nobody_chose_is_reported(client):
    job = submit(client, seed=None)
    (picture,) = events(client, job["id"])[-1][1]["pictures"]
    assert 0 <= picture["seed"] < 2**32


def test_maps_come_without_pictures(client, sent):
    answer = client.post("/v1/jobs", json={"kind": "annotate", "condition": "canny", "images": [sent, sent]})
    last = events(client, answer.json()["id"])[-1][1]
    assert last["state"] == "done" and len(last["maps"]) == 2 and last["pictures"] == []


def test_a_job_is_cancelled_and_one_that_is_kept_is_done(client):
    for keep, state in ((False, "cancelled"), (True, "done")):
        job = submit(client, steps=200, count=4)
        client.delete(f"/v1/jobs/{job['id']}", params={"keep": keep})
        last = events(client, job["id"])[-1][1]
        assert last["state"] == state and last["interrupted"]


def test_a_watched_job_ends_when_its_last_watcher_leaves(engine, app):
    """Over a real connection: a test client reads to the end of every stream."""
    import socket

    import uvicorn

    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    opened.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        import httpx

        with httpx.Client(base_url=f"http://127.0.0.1:{opened.getsockname()[1]}", timeout=60) as browser:
            wanted = {
                "prompt": "x",
                "steps": 200,
                "count": 4,
                "width": 64,
                "height": 64,
                "while_watched": True,
            }
            id = browser.post("/v1/jobs", json=wanted).json()["id"]
            with browser.stream("GET", f"/v1/jobs/{id}/events") as stream:
                next(stream.iter_lines())
        job = engine.job(id)
        assert job is not None and job.wait(60) and job.state == "cancelled"

        # The dialect's callers wait for their pictures, and need say nothing when they leave.
        with httpx.Client(base_url=f"http://127.0.0.1:{opened.getsockname()[1]}", timeout=2) as caller:
            before = engine.tally.outcomes["cancelled"]
            with pytest.raises(httpx.ReadTimeout):
                caller.post(
                    "/sdapi/v1/txt2img", json={"steps": 200, "batch_size": 4, "width": 64, "height": 64}
                )
        for _ in range(600):
            if engine.counts() == (0, 0):
                break
            threading.Event().wait(0.1)
        assert engine.tally.outcomes["cancelled"] == before + 1
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"prompt": ...}, "prompt"),
        ({"nonsense": 1}, "nonsense"),
        ({"steps": 0}, "steps"),
        ({"steps": 201}, "steps"),
        ({"count": 5}, "count"),
        ({"width": 1024, "height": 1024}, "width"),
        ({"base": "../../etc"}, "base"),
        ({"sampler": "nonsense"}, "sampler"),
        ({"kind": "nonsense"}, "kind"),
        ({"image": "http://example.org/a.png", "strength": 0.5}, "image"),
        ({"controls": [{"controlnet": "canny", "image": "/etc/passwd"}]}, r"controls\[0\].image"),
        ({"controls": [{"controlnet": "other", "image": "SCENE"}]}, r"controls\[0\]"),
        ({"controls": [{"controlnet": "canny", "image": "SCENE", "annotate": "os:system"}]}, "condition"),
        ({"controls": [{"controlnet": "canny", "image": "SCENE", "weight": "x"}]}, "weight|schedule"),
        ({"controls": [{"controlnet": "canny", "image": "SCENE", "start": 0.9, "end": 0.1}]}, "start"),
        ({"controls": [{"controlnet": "canny", "image": "SCENE"}] * 4}, "controls"),
    ],
)
def test_a_mistake_is_told_by_its_field(client, sent, change, word):
    import re

    text = json.dumps({k: v for k, v in {"prompt": "x", **change}.items() if v is not ...})
    answer = client.post(
        "/v1/jobs", content=text.replace("SCENE", sent), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert re.search(word, answer.json()["detail"]), answer.json()


def test_a_control_that_fails_fails_the_job(client, sent):
    control = {"controlnet": "canny", "image": sent, "annotate": "depth_midas"}
    last = events(client, submit(client, controls=[control])["id"])[-1][1]
    assert last["state"] == "failed" and last["error"]["error"] == "MissingWeights" and not last["pictures"]
    assert "controls[0]" in last["error"]["detail"]


def test_a_full_queue_says_when_to_come_again(client, engine):
    jobs = [submit(client, steps=200, count=4) for _ in range(engine.limits.per_client)]
    answer = client.post("/v1/jobs", json={"prompt": "x"})
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    assert client.get("/live").json() == {"live": True}
    for job in reversed(jobs):
        client.delete(f"/v1/jobs/{job['id']}")


@pytest.mark.parametrize("id", ["nonsense", "..%2f..%2fetc", "%00", "x" * 64])
def test_an_unknown_job_is_404(client, id):
    for path in ("", "/events", "/pictures/0", "/maps/0", "/preview"):
        assert client.get(f"/v1/jobs/{id}{path}").status_code == 404


def test_the_catalog_has_what_a_page_needs(client):
    catalog = client.get("/v1/catalog").json()
    assert catalog["bases"] == [{**catalog["bases"][0], "name": "shapes", "size": 128, "stride": 64}]
    assert {net["name"] for net in catalog["controlnets"]} == {"canny", "openpose"}
    canny = next(one for one in catalog["conditions"] if one["name"] == "canny")
    assert canny["available"] and canny["settings"]["low"]["maximum"] == 255
    assert not next(one for one in catalog["conditions"] if one["name"] == "depth_midas")["available"]
    assert {"name": "dpm++2m karras", "label": "DPM++ 2M Karras"} in catalog["samplers"]


def test_metrics_and_health(client):
    assert client.get("/ready").json() == {"ready": True, "detail": "ready"}
    text = client.get("/metrics").text
    for name in (
        *("jobs_waiting", "jobs_running", "worker_models_bytes", "worker_restarts_total"),
        *(
            'refusals_total{reason="queue"}',
            'jobs_total{outcome="done"}',
            "wait_seconds_bucket",
            "run_seconds_sum",
        ),
    ):
        assert f"controlnet_{name}" in text, name


def test_what_no_mask_shows_comes_back_to_the_bit(client, scene, encode):
    mask = np.zeros((64, 128, 3), np.uint8)
    mask[:, 64:] = 255
    begun = {"image": encode(scene[:64]), "mask": encode(mask), "strength": 0.8, "fit": "crop"}
    last = events(client, submit(client, steps=2, **begun)["id"])[-1][1]
    got = np.asarray(Image.open(io.BytesIO(client.get(last["pictures"][0]["url"]).content)))
    middle = scene[:64, 32:96]
    assert np.array_equal(got[:, :32], middle[:, :32]) and not np.array_equal(got[:, 32:], middle[:, 32:])
