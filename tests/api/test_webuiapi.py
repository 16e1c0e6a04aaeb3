"""The client `webuiapi` of PyPI, as it is, against a server of ours on a real socket."""

import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import uvicorn
from PIL import Image

webuiapi = pytest.importorskip("webuiapi")


@pytest.fixture(scope="module")
def api(app) -> Iterator["webuiapi.WebUIApi"]:
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    opened.listen()  # callers wait from now on, and are not refused
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    made = webuiapi.WebUIApi(port=opened.getsockname()[1], steps=2)
    yield made
    made.session.close()
    server.should_exit = True
    thread.join(timeout=30)


@pytest.fixture(scope="module")
def photo(scene) -> Image.Image:
    return Image.fromarray(scene)


SMALL = {"width": 64, "height": 64}


def test_it_finds_models_samplers_and_control_units(api):
    assert api.has_controlnet
    assert api.util_get_current_model() in api.util_get_model_names()
    api.util_set_model("shapes")
    assert {"Euler a", "DPM++ 2M Karras"} <= set(api.util_get_sampler_names())
    assert "karras" in api.util_get_scheduler_names()
    assert api.controlnet_version() == 3 and "canny" in api.controlnet_module_list()
    api.util_wait_for_ready(check_interval=0.1)
    for name in (
        *("get_loras", "get_sd_vae", "get_upscalers", "get_latent_upscale_modes", "get_hypernetworks"),
        *("get_face_restorers", "get_realesrgan_models", "get_prompt_styles", "get_embeddings", "get_memory"),
        *("get_cmd_flags", "refresh_checkpoints", "skip", "interrupt"),
    ):
        getattr(api, name)()


def test_txt2img_with_and_without_a_unit(api, photo):
    plain = api.txt2img(prompt="a red cube", seed=5, batch_size=2, **SMALL)
    assert len(plain.images) == 2 and plain.info["all_seeds"] == [5, 6]
    unit = webuiapi.ControlNetUnit(image=photo, module="canny", model=api.controlnet_model_list()[0])
    controlled = api.txt2img(prompt="a red cube", seed=5, controlnet_units=[unit], **SMALL)
    assert len(controlled.images) == 2  # the picture, and the map
    assert not np.array_equal(np.asarray(controlled.image), np.asarray(plain.image))
    again = api.txt2img(prompt="a red cube", seed=5, **SMALL)
    assert np.array_equal(np.asarray(again.image), np.asarray(plain.image))
    drawn = api.txt2img(prompt="a red cube", seed=-1, **SMALL)
    assert drawn.info["seed"] >= 0
    once_more = api.txt2img(prompt="a red cube", seed=drawn.info["seed"], **SMALL)
    assert np.array_equal(np.asarray(once_more.image), np.asarray(drawn.image))


def test_img2img_with_a_mask(api, photo):
    mask = Image.new("L", photo.size)
    mask.paste(255, (40, 40, 80, 80))
    made = api.img2img(
        images=[photo], mask_image=mask, prompt="a blue ball", denoising_strength=0.8, width=128, height=128
    )
    assert np.array_equal(np.asarray(made.image)[:20], np.asarray(photo)[:20])


def test_detect_and_its_mistakes(api, photo):
    assert api.controlnet_detect(images=[photo], module="canny").image.size == photo.size
    with pytest.raises(RuntimeError) as refused:
        api.controlnet_detect(images=[photo], module="nonsense")
    assert refused.value.args[0] == 422


def test_progress_and_interrupt(api):
    made = []
    slow = webuiapi.WebUIApi(baseurl=api.baseurl)
    thread = threading.Thread(
        target=lambda: made.append(slow.txt2img(prompt="x", steps=200, n_iter=2, **SMALL))
    )
    thread.start()
    for _ in range(600):
        if api.get_progress()["progress"] > 0:
            break
        threading.Event().wait(0.1)
    api.interrupt()
    thread.join(timeout=120)
    slow.session.close()
    assert len(made[0].images) == 1
