"""Normal error: do the picture's surfaces face where the normal map says?"""

from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels

WITHIN: Final = (11.25, 22.5, 30.0)  # degrees; the usual three
NOTHING: Final = 0.5  # a colour whose vector is shorter means no surface, such as grey


@final
class NormalAngle(Averaged):
    """Mean angle in degrees between the condition's surface normals and the picture's.

    A colour stands for the vector rgb / 127.5 − 1, of which the direction counts. Only places where the
    condition has a surface are compared; where the picture has none, the angle is 90 degrees. The mean over
    a picture's places, then over pictures. `normal_angle_within_11`, `_22` and `_30` are the shares of places
    within 11.25, 22.5 and 30 degrees (Eigen and Fergus 1411.4734). NaN for a map without surfaces.

    annotator: the condition that reads normals from a picture, such as "normal_bae"; it should be the one
    that drew the map, since the axes' signs differ among them.
    """

    title: ClassVar[str] = "Angle between the picture's surfaces and the normal map's"
    unit: ClassVar[str] = "degrees"
    higher_is_better: ClassVar[bool] = False
    columns: ClassVar[int] = 1 + len(WITHIN)

    def __init__(self, annotator: str = "normal_bae") -> None:
        super().__init__()
        self._draw = condition_named(annotator)

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Compare the normals of a picture with a normal map."""
        angles = angles_between(self._draw(picture), condition)
        if not angles.size:
            return None
        return np.array([angles.mean(), *((angles <= most).mean() for most in WITHIN)])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell the mean angle and the three shares."""
        shares = {
            f"normal_angle_within_{most:.0f}": share
            for most, share in zip((11, 22, 30), mean[1:], strict=True)
        }
        return {"normal_angle": mean[0]} | shares


def angles_between(found: Pixels, wanted: Pixels) -> NDArray[np.float64]:
    """Return the angles in degrees at the places where `wanted` has a surface."""
    (there, n), (on, m) = (_vectors(array) for array in (found, wanted))
    cosine = np.where(there[on], (n[on] * m[on]).sum(axis=-1), 0.0)
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def _vectors(colours: Pixels) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    vectors = colours / 127.5 - 1
    length = np.linalg.norm(vectors, axis=-1)
    return length > NOTHING, vectors / np.maximum(length, 1e-9)[..., None]
