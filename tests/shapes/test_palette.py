"""The names: each means one thing, so that a caption can be read back."""

from controlnet.shapes.palette import CLASS_COLOURS, CLASSES, COLOURS, FLOORS, SKIES, SOLIDS


def test_names_are_single_plain_words_and_mean_one_thing() -> None:
    every = [*SOLIDS, *COLOURS, *FLOORS, *SKIES, "person", "floor", "sky"]
    assert len(set(every)) == len(every)
    assert all(name.isalpha() and name.islower() for name in every)


def test_a_class_has_a_colour() -> None:
    assert CLASS_COLOURS.shape == (len(CLASSES), 3)
