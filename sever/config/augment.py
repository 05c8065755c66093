"""Settings of how training images are changed: crops, named recipes, and how often a recipe draws what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from sever.config.base import Settings

Recipe = Literal["none", "light", "strip", "severstal-2019", "heavy"]
MaskAware = Literal["class", "pixel"]


class DrawWeights(Settings):
    """How often each way is drawn, in proportion to the others; one that isn't named is never drawn."""

    @model_validator(mode="after")
    def _something_is_drawn(self) -> DrawWeights:
        if not any(self.shares().values()):
            raise ValueError(f"all weights are 0; give one of {', '.join(type(self).model_fields)} a weight above 0")
        return self

    def shares(self) -> dict[str, float]:
        """Each way's share of the draws, in the order of the settings; all 0 where no weight is above 0."""
        weights: dict[str, float] = self.model_dump()
        total = sum(weights.values()) or 1.0
        return {name: weight / total for name, weight in weights.items()}


class EnhanceWeights(DrawWeights):
    """Weights of the enhancements of an image's grey levels, of which one is drawn."""

    none: NonNegativeFloat = Field(0.0, description="Weight of leaving the image unchanged.")
    clahe: NonNegativeFloat = Field(0.0, description="Weight of local contrast (CLAHE, clip limit 1 to 4).")
    blur: NonNegativeFloat = Field(0.0, description="Weight of a Gaussian blur of 3 pixels.")
    sharpen: NonNegativeFloat = Field(0.0, description="Weight of a sharpening by 0.2 to 0.3.")


class FlipWeights(DrawWeights):
    """Weights of the four ways to flip an image, of which one is drawn."""

    none: NonNegativeFloat = Field(0.0, description="Weight of no flip.")
    width: NonNegativeFloat = Field(0.0, description="Weight of a flip of left and right.")
    height: NonNegativeFloat = Field(0.0, description="Weight of a flip of top and bottom.")
    both: NonNegativeFloat = Field(0.0, description="Weight of both flips, half a turn.")


# What each recipe draws, where the settings say nothing else. Half of our images stay as the camera saw them, since
# that is what is judged later. In 2019 one enhancement was always drawn (OneOf with p=1 of 0.5, 0.3 and 0.3), and one
# of three flips in half of the images.
OURS = EnhanceWeights(none=3, clahe=1, blur=1, sharpen=1)
EVEN = FlipWeights(none=1, width=1, height=1, both=1)
ENHANCE: dict[str, EnhanceWeights] = {
    "strip": OURS,
    "severstal-2019": EnhanceWeights(clahe=0.5, blur=0.3, sharpen=0.3),
    "heavy": OURS,
}
FLIPS: dict[str, FlipWeights] = {
    "light": EVEN,
    "strip": EVEN,
    "severstal-2019": FlipWeights(none=3, width=1, height=1, both=1),
    "heavy": EVEN,
}
MASK_AWARE: dict[str, MaskAware] = {"severstal-2019": "pixel"}


class AugmentSettings(Settings):
    recipe: Recipe = Field(
        "strip",
        description="Named list of random changes to training images (docs/howto.md); `severstal-2019` is exactly "
        "that of 2019, `strip` is ours.",
    )
    crop: tuple[PositiveInt, PositiveInt] | None = Field(
        (256, 416),
        description="Height and width in pixels of training crops; null trains on whole images, padded.",
    )
    mask_aware_share: float = Field(
        0.5, ge=0, le=1, description="Share of crops placed on a defect, if the image has one."
    )
    mask_aware: MaskAware | None = Field(
        None,
        description="Which defect pixel such a crop is placed on. `class` draws a class first, so that rare ones are "
        "seen as often as others, then one of its pixels; all positions of the crop around it are equally likely. "
        "`pixel` (2019) draws one of all defect pixels, and a crop beyond the border is shifted back inside. null: "
        "the recipe's own, `pixel` for severstal-2019, else `class`.",
    )
    enhance: EnhanceWeights | None = Field(
        None, description="How often each enhancement is drawn, for recipes with any; null: the recipe's own."
    )
    flips: FlipWeights | None = Field(
        None, description="How often each flip is drawn, for recipes with any; null: the recipe's own."
    )

    @model_validator(mode="after")
    def _what_is_set_has_an_effect(self) -> AugmentSettings:
        for name, recipes in (("enhance", ENHANCE), ("flips", FLIPS)):
            if getattr(self, name) is not None and self.recipe not in recipes:
                raise ValueError(
                    f"augment.{name} is set, but the recipe {self.recipe} draws none; take it out, or set recipe to "
                    f"one of {', '.join(recipes)}"
                )
        if self.mask_aware is not None and (self.crop is None or self.mask_aware_share == 0):
            raise ValueError(
                "augment.mask_aware is set, but no crop is placed on a defect; set crop and share, or none"
            )
        return self

    @property
    def enhance_weights(self) -> EnhanceWeights:
        """Those that count; even where the recipe never asks."""
        return self.enhance or ENHANCE.get(self.recipe, OURS)

    @property
    def flip_weights(self) -> FlipWeights:
        """Those that count; even where the recipe never asks."""
        return self.flips or FLIPS.get(self.recipe, EVEN)

    @property
    def crops_by(self) -> MaskAware:
        """Which pixel a mask-aware crop is placed on."""
        return self.mask_aware or MASK_AWARE.get(self.recipe, "class")
