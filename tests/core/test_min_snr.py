"""Min-SNR weights (Hang et al. 2303.09556) against numbers worked out by hand, γ = 5."""

import pytest
import torch

from controlnet.core.objective import Objective

# α² = .9 .5 .1 gives SNR = α²/σ² = 9, 1, 1/9; for flow α itself is so, and SNR = 81, 1, 1/81.
BY_HAND = {
    "epsilon": [5 / 9, 1.0, 1.0],  # min(SNR, γ)/SNR
    "v_prediction": [5 / 10, 1 / 2, 1 / 10],  # min(SNR, γ)/(SNR + 1)
    "flow": [5 * 0.01, 0.25, 0.01],  # min(SNR, γ)·σ²
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_weights(kind: str) -> None:
    objective = Objective(torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64), kind)
    found = objective.min_snr(torch.tensor([0, 1, 2]), gamma=5.0)
    assert found.tolist() == pytest.approx(BY_HAND[kind])


@pytest.mark.parametrize(
    ("kind", "clean", "noise"), [("epsilon", 0, 1), ("v_prediction", 0, 0), ("flow", 0, 0)]
)
def test_the_ends_of_a_schedule_are_no_fault(kind: str, clean: float, noise: float) -> None:
    objective = Objective(torch.tensor([1.0, 0.0]), kind)  # no noise at all, and nothing else
    assert objective.min_snr(torch.tensor([0, 1])).tolist() == [clean, noise]
