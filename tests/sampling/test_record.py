"""How a picture was made, as the web UI writes it and as JSON."""

import json
import re

from controlnet import __version__
from controlnet.sampling import ControlRecord, Record

RECORD = Record(
    prompt="a red cube, on sand",
    negative_prompt="grey",
    seed=7,
    steps=20,
    guidance_scale=7.5,
    sampler="dpm++2m karras",
    width=128,
    height=64,
    base="shapes",
    base_hash="0123456789",
    controls=[ControlRecord("canny", "edges.png", 0.8, 0.0, 0.6, "prompt", "canny(low=50)")],
)


def test_parameters_have_the_form_of_the_web_ui() -> None:
    prompt, negative, rest = RECORD.parameters().split("\n")
    assert prompt == "a red cube, on sand"
    assert negative == "Negative prompt: grey"
    pairs = dict(re.findall(r'\s*([\w ]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', rest))
    assert pairs["Steps"] == "20"
    assert pairs["Sampler"] == "DPM++ 2M Karras"
    assert pairs["CFG scale"] == "7.5"
    assert pairs["Size"] == "128x64"
    assert pairs["Model hash"] == "0123456789"
    assert pairs["Version"] == f"controlnet {__version__}"
    unit = dict(item.split(": ") for item in json.loads(pairs["ControlNet 0"]).split(", "))
    assert unit == {
        "Module": "canny(low=50)", "Model": "canny", "Weight": "0.8",
        "Guidance Start": "0.0", "Guidance End": "0.6", "Control Mode": "My prompt is more important",
    }  # fmt: skip


def test_no_negative_prompt_no_line() -> None:
    text = Record("p", "", 1, 2, 3.0, "ddim", 64, 64, "b", "h").parameters()
    assert text.startswith("p\nSteps: 2, ")
    assert "Denoising strength" not in text


def test_pictures_begun_from_a_picture_say_so() -> None:
    made = Record("p", "", 1, 2, 3.0, "ddim", 64, 64, "b", "h", image="photo.png", strength=0.4)
    assert "Denoising strength: 0.4, " in made.parameters()
    assert json.loads(made.texts()["controlnet"])["image"] == "photo.png"


def test_json_holds_everything() -> None:
    told = json.loads(RECORD.texts()["controlnet"])
    assert told["controls"][0]["mode"] == "prompt"
    assert {k: v for k, v in told.items() if k not in ("controls", "version")}.items() >= {
        "prompt": "a red cube, on sand", "seed": 7, "sampler": "dpm++2m karras", "base": "shapes",
    }.items()  # fmt: skip
    assert RECORD.texts()["parameters"] == RECORD.parameters()
