"""The mannequin: a skeleton in a random pose, whose joints are the 18 body keypoints of OpenPose."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controlnet.shapes.palette import COLOURS

JOINTS: Final = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear"),
)

# Capsules between two joints: (from, to, radius, clothes).
LIMBS: Final = (
    *(("right_shoulder", "right_elbow", 0.085, "shirt"), ("right_elbow", "right_wrist", 0.07, "skin")),
    *(("left_shoulder", "left_elbow", 0.085, "shirt"), ("left_elbow", "left_wrist", 0.07, "skin")),
    *(("right_hip", "right_knee", 0.11, "trousers"), ("right_knee", "right_ankle", 0.09, "trousers")),
    *(("left_hip", "left_knee", 0.11, "trousers"), ("left_knee", "left_ankle", 0.09, "trousers")),
    *(("right_shoulder", "left_shoulder", 0.12, "shirt"), ("right_hip", "left_hip", 0.13, "trousers")),
    *(("chest", "waist", 0.21, "shirt"), ("head", "head", 0.19, "skin")),
)


@dataclass(frozen=True)
class Figure:
    """A mannequin: where it stands (x, z), its joints in world units by name, the colours of its clothes."""

    x: float
    z: float
    joints: dict[str, NDArray[np.float64]]
    shirt: str
    trousers: str

    @property
    def keypoints(self) -> NDArray[np.float64]:
        """Give the 18 joints in OpenPose order, (18, 3)."""
        return np.stack([self.joints[name] for name in JOINTS])


def draw_figure(rng: np.random.Generator) -> Figure:
    """Draw a mannequin that stands, walks, lunges or waves; every joint angle is in radians."""
    x, z = rng.uniform(-0.9, 0.9), rng.uniform(-0.3, 0.8)
    shirt, trousers = (str(name) for name in rng.permutation(list(COLOURS))[:2])
    local = _pose(rng)
    turn = _about_y(rng.uniform(-0.5, 0.5))
    joints = {name: turn @ point for name, point in local.items()}
    lowest = min(joints[name][1] for name in ("right_ankle", "left_ankle"))
    offset = np.array([x, 0.1 - lowest, z])
    return Figure(x, z, {name: point + offset for name, point in joints.items()}, shirt, trousers)


def _pose(rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Pose the skeleton around the hips; it faces the camera (−z), its right side on the picture's left."""
    lean = rng.uniform(-0.18, 0.18)
    up = np.array([np.sin(lean), np.cos(lean), 0.0])
    across = np.array([np.cos(lean), -np.sin(lean), 0.0])
    ahead = np.array([0.0, 0.0, -1.0])
    neck = 0.62 * up
    head = neck + 0.30 * up + rng.uniform(-0.06, 0.06) * across
    joints = {"neck": neck, "chest": 0.42 * up, "waist": 0.12 * up, "head": head}
    joints["nose"] = head + 0.19 * ahead
    for side, sign in (("right", -1.0), ("left", 1.0)):
        shoulder = neck - 0.02 * up + sign * 0.27 * across
        raised, bend = rng.uniform(0.15, 2.7), rng.uniform(-0.2, 1.6)
        elbow = shoulder + 0.36 * _swing(raised, sign, rng.uniform(-0.4, 0.6))
        wrist = elbow + 0.34 * _swing(raised + bend, sign, rng.uniform(-0.2, 0.7))
        hip = sign * 0.14 * np.array([1.0, 0.0, 0.0])
        spread, knee_bend = rng.uniform(0.02, 0.6), rng.uniform(0.0, 0.5)
        knee = hip + 0.46 * _swing(spread, sign, rng.uniform(-0.3, 0.6))
        ankle = knee + 0.46 * _swing(spread - knee_bend, sign, rng.uniform(-0.5, 0.0))
        eye = head + 0.16 * ahead + sign * 0.07 * across + 0.06 * up
        ear = head + sign * 0.18 * across
        named = {
            "shoulder": shoulder,
            "elbow": elbow,
            "wrist": wrist,
            "hip": hip,
            "knee": knee,
            "ankle": ankle,
        }
        joints |= {f"{side}_{name}": point for name, point in (named | {"eye": eye, "ear": ear}).items()}
    return joints


def _swing(angle: float, sign: float, forward: float) -> NDArray[np.float64]:
    """Give the unit direction of a limb: 0 hangs down, π/2 points sideways, π up; `forward` is to us."""
    direction = np.array([sign * np.sin(angle), -np.cos(angle), -np.sin(forward)])
    return direction / np.linalg.norm(direction)


def _about_y(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
