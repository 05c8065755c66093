"""What manifest.json of a bundle holds, field by field; docs/bundle.md says what each means to whoever applies it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from sever.config import RuleSettings
from sever.config.model import Flip
from sever.decide.rules import resolve_rules
from sever.names import fault_of
from sever.records import Count, Part, Probability, Record, Sha256
from sever.store.records import BlendValues, IntervalRecord, Names

FORMAT: Literal["sever-bundle"] = "sever-bundle"
Side: TypeAlias = Annotated[int, Field(ge=1, le=1 << 20)]
Channels: TypeAlias = Literal[1, 3]
# Per channel, of pixels in 0..1.
PerChannel: TypeAlias = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]
Graph: TypeAlias = Literal["onnx", "openvino-int8"]
Size: TypeAlias = Annotated[int, Field(ge=1, le=1 << 20)]
MOST_NODES = 1000


class PartRecord(Part):
    """One part of the bundle, as it must be found."""

    bytes: Count
    sha256: Sha256


class NormalityRecord(Part):
    """What normal images look like to a network's encoder: F features, K directions, V held-out images.

    `graph`: the part that sees the features, in ONNX. `part`: the numbers. `max_difference`: the largest difference
    of a familiarity from torch's, on so many images, at export.
    """

    graph: str
    part: str
    features: Size
    directions: Count
    held_out: Size
    max_difference: Probability
    images: Count


class NetworkRecord(Part):
    """One network: how images go in. Its graph normalises by itself, and answers with probabilities."""

    name: str
    architecture: str
    encoder: str
    weights_sha256: Sha256
    channels: Channels
    # By which its graph normalises pixels in 0..1, for information.
    mean: PerChannel
    std: PerChannel
    draws_masks: bool
    labels_images: bool
    size_multiple: Side
    tile: tuple[Side, Side]
    tile_overlap: Count
    batch_size: Side
    flips: tuple[Flip, ...] = ()
    # The graph's part by its kind; of an OpenVINO graph the .xml, beside which a .bin lies.
    graphs: dict[Graph, str] = Field({})
    normality: NormalityRecord | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """All that it says to be there: graphs, the weights of those that keep them beside, and what is normal."""
        graphs = tuple(self.graphs.values())
        beside = tuple(f"{graph.removesuffix('.xml')}.bin" for graph in graphs if graph.endswith(".xml"))
        return (*graphs, *beside, *((self.normality.graph, self.normality.part) if self.normality else ()))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not (self.draws_masks or self.labels_images):
            raise ValueError("a network that neither draws masks nor labels images is none")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"it has {len(self.mean)} means, {len(self.std)} deviations, {self.channels} channels")
        if len(set(self.flips)) < len(self.flips):
            raise ValueError("one of its `flips` appears twice")
        if min(self.tile) <= self.tile_overlap:
            raise ValueError(f"its tiles of {self.tile} are no larger than their overlap of {self.tile_overlap}")
        return self


class NodeRecord(Part):
    """A network by its number in `networks`, or the blend of several such nodes."""

    network: Count | None = None
    members: tuple[NodeRecord, ...] = ()
    blend: BlendValues | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.network is None) == (not self.members) or (self.blend is None) == bool(self.members):
            raise ValueError("it is either a `network`, or `members` with their `blend`")
        return self

    def nodes(self) -> Iterator[NodeRecord]:
        yield self
        for member in self.members:
            yield from member.nodes()


class ClassStatistics(Part):
    """Of one class in the training images."""

    images: Count
    pixels: Count


class StatisticsRecord(Part):
    """Of the images that the networks were trained on: what they have seen, and so what they can be asked about."""

    images: Count
    clean_images: Count
    classes: tuple[ClassStatistics, ...]
    # Height and width of the most frequent sizes, with their number of images.
    sizes: tuple[tuple[Side, Side, Count], ...] = ()
    # Mean brightness of an image, 0..255: its 1 %, 50 % and 99 % quantiles over a sample of images.
    brightness: tuple[float, float, float] | None = None


class ScoresRecord(Part):
    """Mean Dice over (image, class) pairs with its interval, beside that of masks that are all empty."""

    of: str
    images: Count
    dice: IntervalRecord
    dice_per_class: tuple[IntervalRecord, ...]
    dice_all_empty: Probability


class RuleEvidenceRecord(Part):
    """Of one class, what other rules would do on images that its network had not seen, the model's other rules kept.

    A row for each of `thresholds`, a column for each of `areas`. `dice`: mean over all images. `found`: share of the
    images with the class in which it is called; `false_calls`: share of those without it.
    """

    thresholds: Annotated[tuple[Probability, ...], Field(min_length=1, max_length=100)]
    areas: Annotated[tuple[Count, ...], Field(min_length=1, max_length=100)]
    images: Count
    images_with_it: Count
    dice: tuple[tuple[Probability, ...], ...]
    found: tuple[tuple[Probability, ...], ...]
    false_calls: tuple[tuple[Probability, ...], ...]

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        for table in (self.dice, self.found, self.false_calls):
            if len(table) != len(self.thresholds) or any(len(row) != len(self.areas) for row in table):
                raise ValueError(f"its tables are not {len(self.thresholds)} rows of {len(self.areas)}")
        return self


class LicenceRecord(Part):
    of: str
    licence: str


class BackendRecord(Part):
    """How one backend answered, beside torch in full precision, through the full decision rules."""

    backend: str
    version: str
    taken: bool
    why: str
    max_difference: float
    mean_difference: float
    label_difference: float
    pixels_changed: Probability
    rows: Count
    rows_changed: Count
    rows_tied: Count
    agreement: Probability
    score: IntervalRecord | None = None
    images_per_second: float


class CertificateRecord(Part):
    """The comparison that was made when the bundle was exported, or when it was verified."""

    reference: str
    images: Count
    of: str
    images_sha256: Sha256
    date: str
    machine: str
    threads: Count
    backends: tuple[BackendRecord, ...]

    def of_backend(self, name: str) -> BackendRecord | None:
        return next((each for each in self.backends if each.backend == name), None)


class BundleRecord(Record):
    """manifest.json: everything that an answer depends on, but for the networks' weights."""

    what_to_do: ClassVar[str] = "export the model again with this release of sever"

    format: Literal["sever-bundle"]
    name: str
    kind: Literal["run", "crossval", "blend"]
    sever: str
    class_names: Names
    class_colours: tuple[Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")], ...]
    significant_bits: Annotated[int, Field(ge=8, le=16)]
    max_pixels: Annotated[int, Field(ge=1)]
    networks: Annotated[tuple[NetworkRecord, ...], Field(min_length=1, max_length=MOST_NODES)]
    model: NodeRecord
    rules: RuleSettings
    # Which path below torch/ `-r` means; null where the bundle has no weights for torch.
    torch: str | None = None
    statistics: StatisticsRecord | None = None
    scores: ScoresRecord | None = None
    # A class each, out of fold; of a single run there is none.
    rule_evidence: tuple[RuleEvidenceRecord, ...] | None = None
    licences: tuple[LicenceRecord, ...] = ()
    certificate: CertificateRecord | None = None
    parts: dict[str, PartRecord]

    @property
    def channels(self) -> Channels:
        """Of the images that the whole model takes; members that take grey get them made grey."""
        return 3 if any(network.channels == 3 for network in self.networks) else 1

    @property
    def draws_masks(self) -> bool:
        return any(network.draws_masks for network in self.networks)

    @property
    def labels_images(self) -> bool:
        return any(network.labels_images for network in self.networks)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        classes = len(self.class_names)
        if len(set(self.class_names)) < classes:
            raise ValueError("one of its `class_names` appears twice")
        if len(self.class_colours) != classes:
            raise ValueError(f"it has {len(self.class_colours)} `class_colours` for {classes} classes")
        if self.statistics is not None and len(self.statistics.classes) != classes:
            raise ValueError(f"it has statistics of {len(self.statistics.classes)} classes, and names of {classes}")
        if self.scores is not None and len(self.scores.dice_per_class) != classes:
            raise ValueError(f"it has scores of {len(self.scores.dice_per_class)} classes, and names of {classes}")
        if self.rule_evidence is not None and len(self.rule_evidence) != classes:
            raise ValueError(f"it has evidence on the rules of {len(self.rule_evidence)} classes, names of {classes}")
        resolve_rules(self.rules, classes)
        nodes = list(self.model.nodes())
        if {node.network for node in nodes} - {None} != set(range(len(self.networks))):
            raise ValueError("`model` does not name each of the `networks`")
        for node in nodes:
            self._check_blend(node)
        for name in (*self.parts, *(part for network in self.networks for part in network.parts)):
            if fault := fault_of(name):
                raise ValueError(f"the part {name[:80]!r} can't be: {fault}")
        return self

    def _check_blend(self, node: NodeRecord) -> None:
        if node.blend is None:
            return
        drawing = sum(self._draws(member) for member in node.members)
        blend = node.blend.as_blend()
        if drawing:
            blend.shares(drawing)
        if blend.ranks and (len(blend.ranks), len(blend.ranks[0])) != (drawing, len(self.class_names)):
            raise ValueError(f"its `ranks` are not those of {drawing} members and {len(self.class_names)} classes")

    def _draws(self, node: NodeRecord) -> bool:
        return any(each.network is not None and self.networks[each.network].draws_masks for each in node.nodes())
