"""A full disk while a data set is built: one line, status 2, and the next build ends with the same bytes."""

from pathlib import Path

import pytest

from controlnet.cli.app import main
from tests.cli.faulting import limited, pictures, the_line

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
@pytest.mark.parametrize("limit", [40_000, 9_000, 1_500])
def test_a_full_disk_while_a_set_is_built(tmp_path: Path, layout: str, limit: int) -> None:
    pictures(tmp_path / "in", 8)
    command = ["--quiet", "dataset", "build", str(tmp_path / "in"), "--condition", "canny", "--workers", "1"]
    command += ["--layout", layout, "--out"]
    status, told = limited([*command, str(tmp_path / "set")], limit)
    assert status == 2 and "free space" in the_line(told)
    assert main([*command, str(tmp_path / "set")]) == 0 and main([*command, str(tmp_path / "whole")]) == 0
    found = [
        {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        for place in (tmp_path / "set", tmp_path / "whole")
    ]
    for files in found:
        for name in [name for name in files if ".build" in name]:
            del files[name]
    assert found[0] == found[1]
