"""How a picture was made, as the web UI writes it and as JSON."""

import json
import re
from typing import Any

import pytest

from controlnet import __version__
from controlnet.errors import DataError, SettingError
from controlnet.sampling import ControlRecord, Record
from controlnet.sampling.infotext import read_infotext
from controlnet.sampling.record import FileRecord

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
    controls=(
        ControlRecord(
            net=FileRecord(path="canny", hash="d14c016bffff"),
            image=FileRecord(path="edges.png", hash="0f"),
            weight=0.8,
            end=0.6,
            mode="prompt",
            annotator="canny(low=50)",
        ),
    ),
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
        "Module": "canny(low=50)", "Model": "canny [d14c016b]", "Weight": "0.8",
        "Guidance Start": "0.0", "Guidance End": "0.6", "Control Mode": "My prompt is more important",
    }  # fmt: skip


def plain(**more: Any) -> Record:
    settings = {"seed": 1, "steps": 2, "guidance_scale": 3.0, "sampler": "ddim", "width": 64, "height": 64}
    return Record.model_validate({"prompt": "p", "base": "b", "base_hash": "h"} | settings | more)


def test_no_negative_prompt_no_line() -> None:
    text = plain().parameters()
    assert text.startswith("p\nSteps: 2, ")
    assert "Denoising strength" not in text


def test_pictures_begun_from_a_picture_say_so() -> None:
    made = plain(image=FileRecord(path="photo.png", hash="ab"), strength=0.4)
    assert "Denoising strength: 0.4, " in made.parameters()
    assert json.loads(made.texts()["controlnet"])["image"] == {"path": "photo.png", "hash": "ab"}


def test_json_holds_everything() -> None:
    told = json.loads(RECORD.texts()["controlnet"])
    assert told["controls"][0]["mode"] == "prompt"
    assert {k: v for k, v in told.items() if k not in ("controls", "version")}.items() >= {
        "prompt": "a red cube, on sand", "seed": 7, "sampler": "dpm++2m karras", "base": "shapes",
    }.items()  # fmt: skip
    assert RECORD.texts()["parameters"] == RECORD.parameters()


def test_json_is_read_back() -> None:
    assert Record.read(RECORD.texts()["controlnet"], "a.png") == RECORD


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [("{", DataError, "a.png are damaged"), ("[]", DataError, "tells no settings"),
     ('{"prompt": "x"}', SettingError, "seed is missing"),
     ('{"prompt": "x", "stepz": 1}', SettingError, "steps")],
)  # fmt: skip
def test_other_text_is_refused(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Record.read(text, "a.png")


def test_parameters_are_read_back() -> None:
    read = read_infotext(RECORD.parameters())
    assert read.settings == {
        "prompt": "a red cube, on sand", "negative_prompt": "grey", "seed": 7, "steps": 20,
        "guidance_scale": 7.5, "sampler": "dpm++2m karras", "width": 128, "height": 64,
    }  # fmt: skip
    assert any("ControlNet 0 (canny [d14c016b])" in note for note in read.notes)


@pytest.mark.parametrize(
    ("text", "settings", "notes"),
    [
        ("a cat", {"prompt": "a cat", "negative_prompt": ""}, ["noise"]),
        ("", {"prompt": "", "negative_prompt": ""}, ["noise"]),
        ("Steps: 9", {"prompt": "", "negative_prompt": "", "steps": 9}, ["noise"]),
        ("a\nNegative prompt: b\nc\nSteps: 4, Sampler: DPM fast, Seed: x",
         {"prompt": "a", "negative_prompt": "b\nc", "steps": 4}, ["Seed 'x'", "DPM fast", "noise"]),
        ("a\nSteps: 4, Sampler: Euler, Schedule type: KL Optimal",
         {"prompt": "a", "negative_prompt": "", "steps": 4, "sampler": "euler"},
         ["Euler KL Optimal", "noise"]),
        ('a\nSteps: 4, Lora hashes: "x: 1, y: 2", VAE: "odd',
         {"prompt": "a", "negative_prompt": "", "steps": 4}, ["Lora hashes x: 1, y: 2; VAE", "noise"]),
    ],
)  # fmt: skip
def test_texts_of_the_web_ui(text: str, settings: dict[str, object], notes: list[str]) -> None:
    read = read_infotext(text)
    assert read.settings == settings
    assert len(read.notes) == len(notes)
    assert all(wanted in note for wanted, note in zip(notes, read.notes, strict=True))
