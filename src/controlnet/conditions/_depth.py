"""What the conditions of depth and of normals have in common."""

from typing import Final

from controlnet.conditions._weights import Weights

ADVICE: Final = (
    "no classical method finds depth in a photograph: bring a depth map, of which normal_from_depth makes "
    "normals too; pictures of the embedded world, and no others, have shapes_depth and shapes_normal"
)
MIDAS: Final = Weights(
    repo="lllyasviel/Annotators",
    file="dpt_hybrid-midas-501f0c75.pt",
    megabytes=493,
    licence="MIT",
    sha256="501f0c75b3bca7daec6b3682c5054c09b366765aef6fa3a09d03a5cb4b230853",
    advice=ADVICE,
)
MIDAS_PAPER: Final = (
    "R. Ranftl et al., MiDaS, arXiv 1907.01341; Vision Transformers for Dense Prediction, 2103.13413"
)
