"""What hint encoder a file is of, inferred from the shapes of its tensors (a U-Net: `backbones._sizes`)."""

from __future__ import annotations

from typing import Any

from controlnet.backbones._sizes import MOST, Shapes, size_of


def hint_settings(shapes: Shapes) -> dict[str, Any]:
    """Return the settings of the hint encoder that shapes show."""
    widths = [size_of(shapes, "controlnet_cond_embedding.conv_in.weight", 4)[0]]
    for k in range(1, MOST, 2):
        name = f"controlnet_cond_embedding.blocks.{k}.weight"
        if name not in shapes:
            break
        widths.append(size_of(shapes, name, 4)[0])
    channels = size_of(shapes, "controlnet_cond_embedding.conv_in.weight", 4)[1]
    return {"hint": "published", "condition_channels": channels, "hint_widths": widths}
