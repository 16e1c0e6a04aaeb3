"""A decoder that was trained along with a ControlNet is measured with it, and with it alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.backbones import load_base
from controlnet.checkpoints import add_decoder, load_controlnet
from controlnet.errors import SettingError
from controlnet.evaluation.cases import Cases
from controlnet.evaluation.run import Request, evaluate_request
from controlnet.sampling import Control, generate
from tests.checkpoints.decoders import pair
from tests.helpers import tiny_base


def test_each_control_has_its_own_and_the_base_alone_none(tmp_path: Path) -> None:
    base = load_base(tiny_base(tmp_path / "tiny"))
    nets = {name: pair(base, tmp_path / name, seed)[0] for seed, name in enumerate(("one", "other"))}
    how = {"base": base, "condition": "canny", "count": 1, "size": 32, "steps": 2, "metrics": ["edge_f1"]}
    report = evaluate_request(Request(controls=nets, out=tmp_path / "out", **how))
    assert report is not None

    case = Cases("shapes", "canny", 32, 1)[0]
    for name, net in (*nets.items(), ("prompt-only", None)):
        own = load_base(tmp_path / "tiny")
        if net is not None:
            add_decoder(own, net.with_name("decoder.safetensors"))
            assert own.decoder in report.settings[f"ControlNet {name}"]
        controls = [] if net is None else [Control(load_controlnet(net, own), case.condition)]
        (wanted,) = generate(own, case.caption, controls, seed=0, steps=2, width=32, height=32)
        made = Image.open(tmp_path / "out/pictures" / name / "perfect" / "000000.png")
        assert np.array_equal(np.asarray(made), np.asarray(wanted))

    nets["one"].with_name("decoder.safetensors").unlink()
    with pytest.raises(SettingError, match="made with decoder"):
        evaluate_request(Request(controls=nets, out=tmp_path / "out", **how))
