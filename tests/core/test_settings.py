import pytest

from controlnet.core.settings import ControlSettings
from controlnet.errors import SettingError


@pytest.mark.parametrize(("widths", "stride"), [((16, 32, 96, 256), 8), ((16, 32), 2), ((8,), 1)])
def test_the_stride_follows_from_the_widths(widths, stride):
    assert ControlSettings(hint_widths=widths).stride == stride


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hint": "publshed"}, "did you mean published"),
        ({"connect": "left"}, "all, middle"),
        ({"condition_channels": 0}, "whole numbers from 1"),
        ({"hint_widths": ()}, "whole numbers from 1"),
    ],
)
def test_what_is_not_offered_is_refused(wrong, message, unchecked):
    with pytest.raises(SettingError, match=message):
        unchecked("settings").ControlSettings(**wrong)
