"""Context: what a network reads of the prompt, and nothing else.

Legend: B batch, T tokens, D token width, P pooled text width, N size numbers (6 for SDXL).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from controlnet.errors import ShapeError


@final
@dataclass(frozen=True, eq=False)
class Context:
    """The encoded prompt: tokens for every network, the rest only for those that ask for it.

    text_embeds and time_ids are SDXL's pooled text and its six sizes (original height and width, crop top and
    left, target height and width); class_labels serve networks with a class embedding.
    """

    tokens: Float[Tensor, "B T D"]
    text_embeds: Float[Tensor, "B P"] | None = None
    time_ids: Float[Tensor, "B N"] | None = None
    class_labels: Tensor | None = None

    @classmethod
    def of(cls, context: Context | Tensor) -> Context:
        """Accept plain tokens (B,T,D) wherever a context is wanted."""
        return context if isinstance(context, Context) else cls(context)

    @classmethod
    def cat(cls, contexts: Sequence[Context]) -> Context:
        """Join contexts along the batch, for example the empty prompt and the real one for guidance.

        Raises ShapeError where one has a part that another lacks.
        """
        parts: dict[str, Tensor | None] = {}
        for field in fields(cls):
            column: list[Tensor | None] = [getattr(context, field.name) for context in contexts]
            present = [part for part in column if part is not None]
            if present and len(present) < len(column):
                raise ShapeError(
                    f"{len(present)} of {len(column)} contexts have {field.name}; wanted all or none: "
                    "encode them with the same base"
                )
            parts[field.name] = torch.cat(present) if present else None
        if parts["tokens"] is None:
            raise ShapeError("got no contexts to join; wanted at least one")
        return cls(parts["tokens"], parts["text_embeds"], parts["time_ids"], parts["class_labels"])

    @property
    def batch(self) -> int:
        """How many samples there are."""
        return self.tokens.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> Context:
        """Choose samples; an integer keeps the batch dimension."""
        chosen = slice(index, index + 1 or None) if isinstance(index, int) else index
        return self._each(lambda part: part[chosen])

    def expand(self, n: int) -> Context:
        """Repeat every sample n times, neighbours staying together: (B,…) → (B·n,…)."""
        return self._each(lambda part: part.repeat_interleave(n, dim=0))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Context:
        """Move to a device; tokens and pooled text also to a precision, which would round the sizes."""
        moved = self._each(lambda part: part.to(device))
        pooled = None if moved.text_embeds is None else moved.text_embeds.to(dtype)
        return replace(moved, tokens=moved.tokens.to(dtype), text_embeds=pooled)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Context:
        parts = (self.tokens, self.text_embeds, self.time_ids, self.class_labels)
        tokens, *others = (None if part is None else change(part) for part in parts)
        assert tokens is not None
        return Context(tokens, *others)
