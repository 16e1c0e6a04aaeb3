"""The dialect of the web UI and its ControlNet extension: fields, names, answers, refusals."""

import base64
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

import controlnet as cn

SMALL = {"steps": 1, "width": 64, "height": 64, "prompt": "a red cube", "seed": 3}
UNIT = {"module": "canny", "model": "canny", "image": "SCENE"}


def opened(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text, validate=True))))


def units(*args) -> dict:
    return {"alwayson_scripts": {"ControlNet": {"args": list(args)}}}


@pytest.fixture
def post(client, sent):
    def call(path: str, body: object):
        text = json.dumps(body).replace("SCENE", sent)
        return client.post(path, content=text, headers={"content-type": "application/json"})

    return call


def test_txt2img_is_what_generate_makes(post):
    told = {**SMALL, "batch_size": 2, "steps": 2, "sampler_name": "DPM++ 2M", "scheduler": "Karras"}
    answer = post("/sdapi/v1/txt2img", told).json()
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [3, 4] and info["seed"] == 3 and info["sd_model_name"] == "shapes"
    assert len(info["infotexts"]) == 2 and "Sampler: DPM++ 2M Karras" in info["infotexts"][0]
    assert answer["parameters"]["steps"] == 2 and "alwayson_scripts" not in answer["parameters"]
    base = cn.load_base("shapes")
    wanted = cn.generate(
        base, "a red cube", steps=2, guidance_scale=7.0, seed=3, count=2, width=64, height=64,
        sampler="dpm++2m karras",
    )  # fmt: skip
    for got, picture in zip(answer["images"], wanted, strict=True):
        assert np.array_equal(opened(got), np.asarray(picture))


@pytest.mark.parametrize(
    "image", [{"image": "SCENE", "mask": None}, ["SCENE", None], "data:image/png;base64,SCENE"]
)
def test_a_units_picture_is_written_in_three_ways(post, image):
    answer = post("/sdapi/v1/txt2img", {**SMALL, **units({**UNIT, "image": image})}).json()
    assert len(answer["images"]) == 2 and opened(answer["images"][1]).shape == (64, 64, 3)


def test_units_that_are_off_or_keep_no_map_give_none(post):
    off = [{**UNIT, "enabled": False}, {"enabled": False, "model": "nonsense"}, None, False]
    bare = post("/sdapi/v1/txt2img", {**SMALL, **units(*off)}).json()["images"]
    assert len(bare) == 1 and bare == post("/sdapi/v1/txt2img", SMALL).json()["images"]
    controlled = post("/sdapi/v1/txt2img", {**SMALL, **units({**UNIT, "save_detected_map": False})}).json()
    assert len(controlled["images"]) == 1 and controlled["images"] != bare


@pytest.mark.parametrize("model", ["canny", "Canny", "cann", "TITLE", "canny [00000000]"])
def test_a_model_is_found_by_its_name_in_any_form(post, client, model):
    (title, *_) = client.get("/controlnet/model_list").json()["model_list"]
    told = {**SMALL, **units({**UNIT, "model": model.replace("TITLE", title)})}
    assert post("/sdapi/v1/txt2img", told).status_code == 200


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": "nonsense"}, r"controlnet[0].model"),
        ({"model": "None"}, r"controlnet[0].model"),
        ({"module": "nonsense"}, r"controlnet[0].module"),
        ({"module": "depth_midas"}, "weights"),
        ({"image": ""}, r"controlnet[0].image"),
        ({"image": None}, r"controlnet[0].image"),
        ({"image": "https://example.org/a.png"}, r"controlnet[0].image"),
        ({"image": "/etc/passwd"}, r"controlnet[0].image"),
        ({"image": ["SCENE"] * 3}, "image"),
        ({"guidance_start": 0.9, "guidance_end": 0.1}, "guidance_start"),
        ({"guidance": -1}, "guidance_end"),
        ({"weight": "heavy"}, "weight"),
        ({"resize_mode": "nonsense"}, "resize_mode"),
        ({"control_mode": 7}, "control_mode"),
        ({"processor_res": 10}, "processor_res"),
        ({"threshold_a": 999}, "threshold_a"),
        ({"threshold_b": 0}, "threshold_b"),
        ({"hr_option": "nonsense"}, "hr_option"),
    ],
)
def test_a_control_that_fails_fails_the_request(post, change, word):
    answer = post("/sdapi/v1/txt2img", {**SMALL, **units({**UNIT, **change})})
    assert answer.status_code == 422, answer.text
    assert word in answer.json()["detail"], answer.json()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": 201}, "steps"),
        ({"batch_size": 2, "n_iter": 3}, "batch_size"),
        ({"width": 1024, "height": 1024}, "width"),
        ({"cfg_scale": "x"}, "cfg_scale"),
        ({"sampler_name": "nonsense"}, "sampler_name"),
        ({"scheduler": "nonsense"}, "scheduler"),
        ({"script_name": "nonsense"}, "script_name"),
        ({"enable_hr": True, "hr_upscaler": "nonsense"}, "hr_upscaler"),
        ({"override_settings": {"sd_model_checkpoint": "nonsense"}}, "sd_model_checkpoint"),
        (units(*[UNIT] * 4), "units"),
    ],
)
def test_a_mistake_is_told_by_its_field(post, change, word):
    answer = post("/sdapi/v1/txt2img", {**SMALL, **change})
    assert answer.status_code == 422 and word in answer.json()["detail"], answer.text


def test_nulls_and_unknown_fields_are_as_if_they_were_not_there(post):
    told = {**SMALL, "styles": None, "negative_prompt": None, "sampler_name": None, "nonsense": {"a": [1]}}
    answer = post("/sdapi/v1/txt2img", {**told, "subseed_strength": 0.5, "tiling": True})
    assert answer.status_code == 200
    info = json.loads(answer.json()["info"])
    assert info["extra_generation_params"] == {"Ignored": "subseed_strength, tiling"}
    assert answer.json()["images"] == post("/sdapi/v1/txt2img", SMALL).json()["images"]


def test_sizes_that_the_base_cannot_make_come_as_they_were_asked_for(post):
    answer = post("/sdapi/v1/txt2img", {**SMALL, "width": 72, "height": 56}).json()
    assert opened(answer["images"][0]).shape == (56, 72, 3)
    big = post(
        "/sdapi/v1/txt2img", {**SMALL, "enable_hr": True, "hr_scale": 2, "denoising_strength": 0.6}
    ).json()
    assert opened(big["images"][0]).shape == (128, 128, 3)


def test_img2img_begins_from_the_picture_which_units_fall_back_to(post, scene):
    told = {
        **SMALL,
        "init_images": ["SCENE"],
        "denoising_strength": 0,
        "steps": 20,
        **units({**UNIT, "image": ""}),
    }
    answer = post("/sdapi/v1/img2img", told).json()
    assert len(answer["images"]) == 2 and opened(answer["images"][1]).max() == 255
    small = np.asarray(Image.fromarray(scene).resize((64, 64), Image.Resampling.BOX)).astype(int)
    assert np.abs(opened(answer["images"][0]) - small).mean() < 12
    assert post("/sdapi/v1/img2img", SMALL).status_code == 422
    assert post("/sdapi/v1/img2img", {**SMALL, "init_images": ["a.png"]}).status_code == 422


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_a_mask_is_painted_and_the_rest_kept(post, encode, scene, whole, fill):
    mask = np.zeros_like(scene)
    mask[40:80, 40:80] = 255
    told = {
        **SMALL, "init_images": ["SCENE"], "mask": encode(mask), "inpainting_fill": fill, "mask_blur": 0,
        "inpaint_full_res": not whole, "width": 128, "height": 128, "steps": 2,
    }  # fmt: skip
    got = opened(post("/sdapi/v1/img2img", told).json()["images"][0])
    assert np.array_equal(got[:38], scene[:38]) and not np.array_equal(got[50:70, 50:70], scene[50:70, 50:70])
    inverted = opened(post("/sdapi/v1/img2img", {**told, "inpainting_mask_invert": 1}).json()["images"][0])
    assert np.array_equal(inverted[45:75, 45:75], scene[45:75, 45:75])


def test_detect(post, scene):
    answer = post(
        "/controlnet/detect", {"controlnet_module": "canny", "controlnet_input_images": ["SCENE"]}
    ).json()
    assert answer["info"] == "Success" and np.array_equal(
        opened(answer["images"][0]), cn.annotate("canny", scene)
    )
    told = {"controlnet_module": "Canny", "controlnet_images": ["SCENE"], "controlnet_processor_res": 64}
    answer = post("/controlnet/detect", {**told, "controlnet_threshold_a": 50}).json()
    wanted = cn.annotate("canny(resolution=64, low=50)", scene)
    assert np.array_equal(opened(answer["images"][0]), wanted)
    for change in (
        {"controlnet_module": "nonsense"},
        {"controlnet_images": []},
        {"controlnet_threshold_b": 999},
    ):
        assert post("/controlnet/detect", {**told, **change}).status_code == 422


def test_poses_are_drawn_from_their_keypoints(post):
    body = [v for k in range(18) for v in (10 + 5 * k, 20 + 5 * k, 1)]
    pose = {"people": [{"pose_keypoints_2d": body}], "canvas_width": 128, "canvas_height": 96}
    answer = post("/controlnet/render_openpose_json", [pose, pose]).json()
    assert [opened(image).shape for image in answer["images"]] == [(96, 128, 3)] * 2
    assert opened(answer["images"][0]).any()
    assert post("/controlnet/render_openpose_json", [{"people": 1}]).status_code == 422
    assert post("/controlnet/render_openpose_json", [{**pose, "canvas_width": 100_000}]).status_code == 422


def test_progress_is_the_callers_own_and_interruption_gives_what_is_there(post, client, app, engine):
    idle = client.get("/sdapi/v1/progress").json()
    assert idle["progress"] == 0 and idle["state"]["job_count"] == 0
    answers = []
    told = {**SMALL, "steps": 200, "batch_size": 2}
    thread = threading.Thread(target=lambda: answers.append(post("/sdapi/v1/txt2img", told)))
    thread.start()
    for _ in range(600):
        seen = client.get("/sdapi/v1/progress").json()
        if seen["progress"] > 0 and seen["current_image"]:
            break
        threading.Event().wait(0.1)
    assert 0 < seen["progress"] < 1 and seen["eta_relative"] > 0
    assert seen["state"]["sampling_steps"] == 200 and seen["state"]["job_count"] == 1
    assert client.get("/sdapi/v1/progress?skip_current_image=true").json()["current_image"] is None

    from fastapi.testclient import TestClient

    other = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.2", 1))
    assert other.get("/sdapi/v1/progress").json()["state"]["job_count"] == 0
    assert other.post("/sdapi/v1/interrupt").json() == {}
    assert engine.counts()[0] == 1

    assert client.post("/sdapi/v1/interrupt").json() == {}
    thread.join(timeout=120)
    (answer,) = answers
    assert answer.status_code == 200 and len(answer.json()["images"]) == 1
    assert json.loads(answer.json()["info"])["interrupted"]


def test_options_are_the_callers_own(post, client, app):
    options = client.get("/sdapi/v1/options").json()
    assert options["sd_model_checkpoint"].startswith("shapes [")
    assert post("/sdapi/v1/options", options).json() is None
    assert post("/sdapi/v1/options", {"sd_model_checkpoint": "nonsense"}).status_code == 422
    assert (
        post("/sdapi/v1/options", {"sd_model_checkpoint": options["sd_checkpoint_hash"]}).status_code == 200
    )


def test_what_clients_list_is_there(client):
    for name in (
        *(
            "samplers",
            "schedulers",
            "upscalers",
            "sd-models",
            "sd-vae",
            "loras",
            "embeddings",
            "hypernetworks",
        ),
        *("face-restorers", "prompt-styles", "scripts", "cmd-flags", "memory", "latent-upscale-modes"),
    ):
        assert client.get(f"/sdapi/v1/{name}").status_code == 200, name
    assert client.get("/queue/status").status_code == 200
    assert client.get("/controlnet/version").json() == {"version": 3}
    assert client.get("/controlnet/settings").json() == {"control_net_unit_count": 3}
    assert "controlnet m2m" in client.get("/sdapi/v1/scripts").json()["txt2img"]
    (model,) = client.get("/sdapi/v1/sd-models").json()
    assert set(model) == {"title", "model_name", "hash", "sha256", "filename", "config"}
    assert "/" not in model["filename"]
    listed = client.get("/controlnet/module_list?alias_names=true").json()
    assert (
        set(listed["module_list"]) == set(listed["module_detail"])
        and "openpose_full" in listed["module_list"]
    )
    sliders = listed["module_detail"]["canny"]["sliders"]
    assert [slider["name"] for slider in sliders] == ["Preprocessor Resolution", "low", "high"]
    assert all(set(slider) == {"name", "value", "min", "max", "step"} for slider in sliders)
    types = client.get("/controlnet/control_types").json()["control_types"]
    assert types["Canny"]["default_option"] == "canny" and types["Canny"]["default_model"].startswith(
        "canny ["
    )
    assert types["OpenPose"]["model_list"][1].startswith("openpose [")
