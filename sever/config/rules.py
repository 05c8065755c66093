"""Settings of the decision: how probabilities become masks. As JSON they travel with the weights (rules.json)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt

from sever.config.base import Settings

Level = Annotated[float, Field(ge=0, le=1)]
# One value for all classes, or one a class.
Levels: TypeAlias = Level | tuple[Level, ...]
Pixels: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, ...]


class GateSettings(Settings):
    """What an image classifier's probability of a class does to the class's mask."""

    kind: Literal["none", "veto", "soft", "multiply"] = Field(
        "none",
        description="`veto` empties a class whose gate probability is below `threshold`; `soft` (2019) scales its "
        "smallest area from min_pixels (gate 1) to factor * min_pixels (gate 0); `multiply` multiplies every pixel's "
        "probability by it; `none` ignores the gate.",
    )
    threshold: Levels = Field(0.5, description="Gate probability below which `veto` empties a class.")
    factor: float = Field(5.0, ge=1, description="The c of the soft gate t0*c - t0*(c - 1)*p (2019: 5, 10, 20).")


class RuleSettings(Settings):
    """How probabilities become masks; travels with the weights as rules.json. Applied in the order of this list."""

    version: Literal[1] = Field(1, description="Version of this form of rules.")
    gate: GateSettings = Field(GateSettings(), description="What the image classifier does, where there is one.")
    pixel_threshold: Levels = Field(0.5, description="A pixel belongs to a class above this probability.")
    label_threshold: Levels | None = Field(
        None,
        description="A class is in the image only if its most probable pixel is above this; null asks for no more than "
        "pixel_threshold does.",
    )
    seed_threshold: Levels | None = Field(
        None,
        description="Hysteresis: a component of pixels above pixel_threshold stays only if one of them is above this; "
        "null keeps every component.",
    )
    fill_holes: bool = Field(False, description="Fill the holes of every mask.")
    erode_pixels: Pixels = Field(0, description="Radius in pixels by which masks shrink.")
    dilate_pixels: Pixels = Field(0, description="Radius in pixels by which masks grow, after they shrank.")
    overlap: Literal["highest_probability", "component_domination", "allow"] = Field(
        "highest_probability",
        description="Where classes overlap: the most probable one keeps the pixel; or the larger component removes "
        "the smaller ones that it touches (2019); or all keep it.",
    )
    min_component_pixels: Pixels = Field(0, description="A component with fewer pixels than this is removed.")
    min_pixels: Pixels | None = Field(
        None,
        description="A class with fewer pixels than this is dropped from the image; one number, or one a class. By "
        "default 600, 600, 1000, 2000 for four classes in the Severstal layout (as in 2019), else 0.",
    )
