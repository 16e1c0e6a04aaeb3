"""Control maps from pictures, and keypoints where the condition finds people."""

from typing import Any

from controlnet.conditions import annotate, condition
from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import to_json
from controlnet.conditions._posed import Posed
from controlnet.service.pictures import png
from controlnet.service.requests import Annotate


def annotated(request: Annotate, image: Pixels) -> tuple[bytes, dict[str, Any] | None]:
    """Return a picture's map as PNG, and its keypoints where they are wanted and there are such."""
    detector = condition(request.condition)
    if request.keypoints and isinstance(detector, Posed):
        pose = detector.find_people(image)
        return png(detector.draw(pose)), to_json(pose)
    return png(annotate(detector, image)), None
