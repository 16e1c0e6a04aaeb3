"""Networks for `dw_openpose_full` that see one person in the left half, whatever the picture."""

import numpy as np

from tests.poses import standing

BOX = (64.0, 96.0, 320.0, 608.0)  # left, top, right, bottom in YOLOX's square of 640


def find(given: np.ndarray) -> list[np.ndarray]:
    """Return YOLOX's rows: one person, the same once more but less sure, and a surer chair."""
    assert given.shape == (1, 3, 640, 640) and given.dtype == np.float32
    rows = np.zeros((1, 8400, 85), np.float32)
    left, top, right, bottom = BOX
    middle, size = np.array([(left + right) / 2, (top + bottom) / 2]), np.array([right - left, bottom - top])
    for cell, column, sure in ((0, 5, 0.9), (1, 5, 0.6), (2, 61, 0.95)):
        rows[0, cell, :2] = middle / 8 - (cell, 0)
        rows[0, cell, 2:4] = np.log(size / 8)
        rows[0, cell, [4, column]] = sure, 1
    return [rows]


def see(given: np.ndarray) -> list[np.ndarray]:
    """Return 133 distributions of x and of y: a body as `standing`, hands and face beside it."""
    assert given.shape == (1, 3, 384, 288) and given.dtype == np.float32
    across, down = np.zeros((1, 133, 576), np.float32), np.zeros((1, 133, 768), np.float32)
    for i, (x, y) in enumerate(places()):
        across[0, i, int(2 * x)], down[0, i, int(2 * y)] = 0.9, 0.8
    return [across, down]


def places() -> np.ndarray:
    """Return where the 133 keypoints are in the crop of 384×288."""
    body = standing(0, 40, 288)[:, :2].round()
    own = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]  # OpenPose's numbers in COCO's order
    others = np.array([[10 + i, 300 + i % 7] for i in range(133 - len(own))])
    return np.concatenate([body[own], others])


def place_random() -> None:
    """Put them into the cache."""
    from controlnet import registry
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.onnx import session

    detector, poser = registry.find("conditions", "dw_openpose_full").weights
    place(session, find, detector)
    place(session, see, poser)
