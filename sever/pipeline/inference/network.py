"""One network, or several as one, that answer alike; knows no library that networks run in, and no rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from sever.data.images import Channels, to_grey
from sever.decide.ensemble import Blend
from sever.decide.prediction import Forward, Prediction, combine
from sever.decide.time_budget import Effort
from sever.decide.windows import Windows
from sever.store.origin import digest_of


@dataclass(frozen=True)
class Network:
    """One network. `path` is where its weights lie, in the words of whoever named it.

    `identity`: digest of the weights and of all settings that its answers depend on. `streams`: from so many threads at
    once it uses the machine best, an image each; None where it takes one call at a time.
    """

    forward: Forward
    windows: Windows
    channels: Channels
    draws_masks: bool
    labels_images: bool
    path: Path = Path()
    identity: str = ""
    streams: int | None = None

    def predict(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """What it says of images (H, W, channels) uint8, in their order; sizes may differ."""
        return self.windows.predict([self._fitted(image_hwc) for image_hwc in images], self.forward)

    def by_member(self, images: Sequence[np.ndarray]) -> Iterator[list[Prediction]]:
        yield self.predict(images)

    def _fitted(self, image_hwc: np.ndarray) -> np.ndarray:
        """A grey network may stand beside one of colours."""
        return to_grey(image_hwc) if self.channels == 1 and image_hwc.shape[2] == 3 else image_hwc

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def lighter(self, effort: Effort) -> Network | None:
        """The same network without what `effort` leaves out; None where that is all. Nothing is loaded again."""
        if self.path in effort.without:
            return None
        flips = effort.flips(self.windows.flips)
        if flips == self.windows.flips:
            return self
        identity = digest_of([self.identity, "flips", list(flips)])
        return replace(self, windows=replace(self.windows, flips=flips), identity=identity)


@dataclass(frozen=True)
class Ensemble:
    """Several networks, or ensembles of them, whose maps are blended; their label probabilities by the plain mean."""

    members: tuple[AnyNetwork, ...]
    blend: Blend
    path: Path = Path()

    @property
    def channels(self) -> Channels:
        return max(member.channels for member in self.members)

    @property
    def draws_masks(self) -> bool:
        return any(member.draws_masks for member in self.members)

    @property
    def labels_images(self) -> bool:
        return any(member.labels_images for member in self.members)

    @property
    def streams(self) -> int | None:
        of_all = [member.streams for member in self.members]
        return None if None in of_all else min(each for each in of_all if each is not None)

    @property
    def identity(self) -> str:
        return digest_of([self.blend.as_dict(), *(member.identity for member in self.members)])

    def predict(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """What all say together, before rounding and rules: so that a blend can be a member of another."""
        return combined(list(self.by_member(images)), self.blend)

    def by_member(self, images: Sequence[np.ndarray]) -> Iterator[list[Prediction]]:
        """What each member says of all images, one member after the other."""
        for member in self.members:
            yield member.predict(images)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its own, and those of all its members at any depth: by them members are named."""
        return (self.path, *(path for member in self.members for path in member.paths))

    def lighter(self, effort: Effort) -> Ensemble | None:
        if self.path in effort.without:
            return None
        lighter = [member.lighter(effort) for member in self.members]
        kept = [at for at, member in enumerate(lighter) if member is not None]
        members = tuple(member for member in lighter if member is not None)
        return Ensemble(members, self.blend.of_members(kept), self.path) if members else None


AnyNetwork: TypeAlias = Network | Ensemble


def combined(by_member: Sequence[list[Prediction]], blend: Blend) -> list[Prediction]:
    """Image by image, the members' predictions as one."""
    return [combine(each, blend) for each in zip(*by_member, strict=True)]
