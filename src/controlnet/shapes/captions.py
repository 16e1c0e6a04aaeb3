"""What a scene is called: full, partial and bare phrasings, so that a person's own wording works."""

import numpy as np

from controlnet.shapes.scene import Scene


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Phrase a scene at random: things from left to right, then perhaps floor and sky."""
    things = _join(describe(scene))
    floor, sky = f"{scene.floor} floor", f"{scene.sky} sky"
    style = rng.random()
    if style < 0.55:
        return f"{things} on a {floor} under a {sky}"
    if style < 0.67:
        return f"{things} on a {floor}"
    if style < 0.77:
        return f"{things} under a {sky}"
    if style < 0.87:
        return f"{things}, {floor}, {sky}"
    return things if style < 0.97 else f"a {floor} under a {sky}"


def full_caption(scene: Scene) -> str:
    """Say everything about a scene."""
    return f"{_join(describe(scene))} on a {scene.floor} floor under a {scene.sky} sky"


def describe(scene: Scene) -> list[str]:
    """Name the things of a scene from left to right, each with its colours."""
    named = [(solid.x, f"{_article(solid.colour)} {solid.colour} {solid.kind}") for solid in scene.solids]
    if scene.figure:
        shirt, trousers = scene.figure.shirt, scene.figure.trousers
        named.append((scene.figure.x, f"a person in {_article(shirt)} {shirt} shirt and {trousers} trousers"))
    return [text for _, text in sorted(named)]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
