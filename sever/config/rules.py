"""Settings of the decision: how probabilities become masks. As JSON they travel with the weights (rules.json)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from sever.config.base import Settings

VERSION: Final = 1

Level = Annotated[float, Field(ge=0, le=1)]
# One value for all classes, or one a class.
Levels: TypeAlias = Level | tuple[Level, ...]
Pixels: TypeAlias = NonNegativeInt | tuple[NonNegativeInt, ...]

Value = TypeVar("Value", int, float)


class GateSettings(Settings):
    """What an image classifier's probability of a class does to the class's mask.

    Every kind but `none` needs such a probability for every image: without a classifier, drawing masks is refused.
    """

    kind: Literal["none", "veto", "soft", "multiply"] = Field(
        "none",
        description="`veto` empties a class whose gate probability is below `threshold`; `soft` (2019) scales its "
        "smallest area from min_pixels (gate 1) to factor * min_pixels (gate 0); `multiply` multiplies every pixel's "
        "probability by it; `none` ignores the gate.",
    )
    threshold: Levels = Field(0.5, description="Gate probability below which `veto` empties a class.")
    factor: float = Field(5.0, ge=1, description="The c in the soft gate t0*c - t0*(c - 1)*p (2019: 5, 10, 20).")


class RuleSettings(Settings):
    """How probabilities become masks; travels with the weights as rules.json. Applied in the order of this list.

    1. gate: `veto` empties classes, `multiply` lowers every probability that the later rules see.
    2. pixel_threshold, label_threshold, seed_threshold: what each class claims, by itself. A class that the gate or
       label_threshold judges absent claims nothing, so it takes no pixel from another class either.
    3. fill_holes, then erode_pixels, then dilate_pixels: what each class claims is given its shape, still by itself.
    4. overlap: where two classes claim one pixel.
    5. min_component_pixels, then min_pixels (scaled by the `soft` gate): what is too small by now goes. What it won in
       an overlap does not go back to the class that lost it.

    Pixels that touch by a side or a corner are one component (8 neighbours); a hole is clean pixels, connected by
    their sides, that the mask closes off from the image's border. All areas are in pixels of the image.
    """

    version: Literal[1] = Field(VERSION, description="Version of this form of rules.")
    gate: GateSettings = Field(
        GateSettings(), description="How an image classifier, if there is one, acts on the masks."
    )
    pixel_threshold: Levels = Field(0.5, description="A pixel belongs to a class above this probability.")
    label_threshold: Levels | None = Field(
        None,
        description="A class is in the image only if its most probable pixel is above this; null requires no more than "
        "pixel_threshold. Not below pixel_threshold; equal to it has no effect.",
    )
    seed_threshold: Levels | None = Field(
        None,
        description="Hysteresis: a component of pixels above pixel_threshold stays only if one of them is above this; "
        "null keeps every component. Not below pixel_threshold; equal to it has no effect.",
    )
    fill_holes: bool = Field(False, description="Fill the holes of every mask.")
    erode_pixels: Pixels = Field(
        0, description="Radius in pixels of the disc by which masks shrink; the image's border takes nothing away."
    )
    dilate_pixels: Pixels = Field(0, description="Radius in pixels of the disc by which masks grow, after shrinking.")
    overlap: Literal["highest_probability", "larger_component", "component_domination", "allow"] = Field(
        "highest_probability",
        description="If several classes claim a pixel: the most probable keeps it; or the one with the largest "
        "component (as in the code of 2019, where the last of equals won); or, from the largest component down, each "
        "remaining one removes every smaller one of another class that overlaps it; or all keep it. Among equals the "
        "first class wins.",
    )
    min_component_pixels: Pixels = Field(0, description="A component with fewer pixels than this is removed.")
    min_pixels: Pixels = Field(
        0,
        description="A class with fewer pixels than this is dropped from the image; one number, or one per class "
        "(2019: 600, 600, 1000, 2000, for images of 256x1600).",
    )

    @field_validator("version", mode="before")
    @classmethod
    def _is_known(cls, version: Any) -> Any:
        if version != VERSION:
            raise ValueError(
                f"these rules are of a version that is unknown here, where version {VERSION} is read; install the "
                "release of sever that wrote them, or write them again"
            )
        return version

    @field_validator("min_pixels", mode="before")
    @classmethod
    def _open_means_none(cls, min_pixels: Any) -> Any:
        # Configurations of runs from before this had a default say null; their rules.json has the numbers.
        return 0 if min_pixels is None else min_pixels

    @model_validator(mode="after")
    def _thresholds_have_an_effect(self) -> RuleSettings:
        for name in ("label_threshold", "seed_threshold"):
            given = getattr(self, name)
            for index, (value, pixel) in enumerate(_pairs(given, self.pixel_threshold) if given is not None else ()):
                if value < pixel:
                    raise ValueError(
                        f"{name} {value:g} is below pixel_threshold {pixel:g} (class {index + 1}), where it has no "
                        "effect; give at least pixel_threshold, or null"
                    )
        return self


def _pairs(left: Value | tuple[Value, ...], right: Value | tuple[Value, ...]) -> list[tuple[Value, Value]]:
    """Class by class; lists of different lengths are told apart where the number of classes is known."""
    count = max(len(given) if isinstance(given, tuple) else 1 for given in (left, right))
    lefts, rights = (given if isinstance(given, tuple) else (given,) * count for given in (left, right))
    return list(zip(lefts, rights, strict=False))
