"""The cycle collector rests while networks' libraries are imported, and is left as it was found."""

import gc

import pytest

from controlnet.backbones._imports import collector_paused


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_rests_and_is_left_as_it_was_found(was_on: bool) -> None:
    found = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with pytest.raises(ImportError), collector_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if found else gc.disable)()
