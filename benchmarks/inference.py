"""Claim: `sever predict` of a bundle uses at least 80 % of what this machine can do, and is 6 times the plain way.

    python benchmarks/inference.py --model model.sever
    python benchmarks/inference.py --model model.sever --images my/strip --width-m 1.6 --pixel-mm 1 --sides 2
    python benchmarks/inference.py --model model.sever --growth 10000
    python benchmarks/inference.py --model model.sever --latency 10000

All ways go from JPEG files to submission rows, in turn, in one run:

plain SMP       SMP's network in eager fp32, one image at a time: what one writes first
plain ONNX      the same loop around an ONNX Runtime session as it comes
BACKEND         what `sever predict` does, in each backend of the bundle

and the roofline of each precision: the operations of the network's convolutions over the speed of large convolutions
of that very precision, measured here, with as many streams. Seconds are those of the wall clock, and those of all
processors in this process: where other work shares the machine, only the latter tell. Joules are read where Linux shows
them (RAPL). Without --model a network is trained for a minute: it need not be good to be timed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from common import QUICK_ENCODER, Clock, describe_machine, make_parser, parse, print_ratio, print_table, write_strip
from growth import tell_growth, tell_latency
from roofline import Roofline, operations

from sever.config import parse_config
from sever.data import rle
from sever.data.images import read_image
from sever.data.layouts import read_folder
from sever.data.table import ImageTable
from sever.decide.postprocess import draw_masks, quantise
from sever.deliver.runtime.backends import BACKENDS
from sever.models.losses import probabilities
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.inference.bundled import bundle_model, fault_of
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.one_pass import OnePass, decide
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.train.starting import train_experiment
from sever.prefetch import cores
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.unpacked import torch_path

AT_LEAST = 6.0
_ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


@dataclass
class Way:
    """One way from files to rows."""

    name: str
    run: Callable[[ImageTable], object]
    precision: str
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    def take_turn(self, table: ImageTable) -> None:
        """Seconds and joules an image."""
        energy, start = _joules(), Clock.now()
        self.run(table)
        took = start.since()
        self.seconds.append(took.wall / len(table))
        self.processor.append(took.processor / len(table))
        if energy is not None and (after := _joules()) is not None and after > energy:
            self.joules.append((after - energy) / len(table))

    @property
    def images_per_second(self) -> float:
        return 1 / float(np.median(self.seconds))

    @property
    def processor_seconds(self) -> float:
        return float(np.median(self.processor))


def _joules() -> float | None:
    try:
        return int(_ENERGY.read_text()) / 1e6
    except (OSError, ValueError):
        return None


def plain_smp(path: Path) -> Callable[[ImageTable], list[list[str]]]:
    """The obvious loop: read, to float, network, sigmoid, threshold and rules, run lengths."""
    model = load_model(torch_path(path), InferenceOptions("cpu", precision="no"))
    network = model.network.forward.network  # type: ignore[union-attr]
    network.float().to(memory_format=torch.contiguous_format).eval()

    def predict(image_hwc: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pixels = torch.from_numpy(image_hwc).permute(2, 0, 1)[None].contiguous()
            return probabilities(network(pixels)[0].float(), model.config.loss.name)[0].numpy()

    return lambda table: plain_rows(model, table, predict)


def on_one_thread(run: Callable[[ImageTable], object]) -> Callable[[ImageTable], object]:
    """Threads that wait for each other burn processor time: what the plain way truly takes, one alone tells."""

    def run_alone(table: ImageTable) -> object:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return run(table)
        finally:
            torch.set_num_threads(threads)

    return run_alone


def plain_onnx(path: Path) -> Callable[[ImageTable], list[list[str]]]:
    import onnxruntime

    bundle = Bundle.open(path)
    session = onnxruntime.InferenceSession(bundle.read(bundle.manifest.networks[0].graphs["onnx"]))
    name, model = session.get_inputs()[0].name, bundle_model(bundle, "onnx")
    return lambda table: plain_rows(
        model, table, lambda image: np.asarray(session.run(None, {name: image[None]})[0][0])
    )


def plain_rows(model: Model, table: ImageTable, predict: Callable[[np.ndarray], np.ndarray]) -> list[list[str]]:
    rows = []
    for path in table.paths:
        probs_chw = predict(read_image(path, model.network.channels))
        rows.append(rle.encode_masks(draw_masks(quantise(probs_chw), model.rules)))
    return rows


def ours(path: Path, backend: str) -> tuple[Model, Callable[[ImageTable], list[list[str]]]]:
    model = bundle_model(Bundle.open(path), backend, InferenceOptions(streams=cores()))
    return model, lambda table: [list(row.runs) for row in OnePass(model, model.reader()).rows(table)]


def around_the_network(model: Model, table: ImageTable) -> tuple[float, float]:
    """Processor seconds an image of reading and decoding, and of decisions."""
    read, decode, decision = model.reader(), [], []
    for path in table.paths[:16]:
        start = Clock.now()
        image_hwc = read.decode(path.read_bytes(), path)
        decode.append(start.since().processor)
        (prediction,) = model.network.predict([image_hwc])
        start = Clock.now()
        decide(prediction, model)
        decision.append(start.since().processor)
    return float(np.mean(decode)), float(np.mean(decision))


def in_streams(model: Model, image_hwc: np.ndarray, images: int) -> Clock:
    """The network alone, from as many threads as it has streams: seconds an image."""
    with ThreadPoolExecutor(model.network.streams or 1) as pool:
        start = Clock.now()
        list(pool.map(lambda _: model.network.predict([image_hwc]), range(images)))
        took = start.since()
    return Clock(took.wall / images, took.processor / images)


def make_model(folder: Path, encoder: str, size: Sequence[int], quick: bool) -> Path:
    """A bundle of a Unet that has learnt for a minute."""
    root = write_strip(folder / "data", 16 if quick else 64, *size)
    settings = {
        "name": "timed",
        "data": {"root": str(root)},
        "folds": {"share": 0.25},
        "model": {"encoder": encoder, "weights": "none"},
        "augment": {"recipe": "light", "crop": [min(256, side) for side in size]},
        "train": {"epochs": 1 if quick else 4, "batch_size": 4, "workers": 0},
    }
    if quick:
        settings["model"] = {"encoder": encoder, "weights": "none", "decoder_channels": [8, 8, 8, 4, 4]}
    run = train_experiment(parse_config(settings, "benchmark"), folder / "saved", "cpu").folder
    export_model(run, folder / "model.sever", ExportOptions(images=4 if quick else 12, calibration=4 if quick else 16))
    return folder / "model.sever"


def strip_images(folder: Path, count: int, size: Sequence[int]) -> Path:
    """JPEGs as the competition has them."""
    root = write_strip(folder / "strip", 1, *size)
    images = sorted((root / "train_images").iterdir()) + sorted((root / "test_images").iterdir())
    source = read_image(images[0], 1)[..., 0]
    target = folder / "images"
    target.mkdir()
    for number in range(count):
        shifted = np.roll(source, number * 37, axis=1)
        cv2.imwrite(str(target / f"{number:05}.jpg"), shifted, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return target


def take_turns(ways: Sequence[Way], table: ImageTable, repeats: int) -> None:
    for way in ways:
        way.run(table.take(list(range(2))))
    for _ in range(repeats):
        for way in ways:
            way.take_turn(table)


def info(
    ways: Sequence[Way], roofs: dict[str, Roofline], operations_an_image: float, options: argparse.Namespace
) -> float:
    """The table; returns how many times as fast as the plain way the best is, by processor time."""
    alone, plain, rows = ways[0], ways[1], []
    for way in ways:
        roof = roofs.get(way.precision)
        shares = ["-", "-"]
        if roof is not None:
            ideal = roof.seconds(operations_an_image)
            shares = [f"{ideal.wall * way.images_per_second:.0%}", f"{ideal.processor / way.processor_seconds:.0%}"]
        metres = way.images_per_second * options.pixels * (options.pixel_mm / 1e3) ** 2
        rows.append(
            (
                way.name,
                f"{way.images_per_second:.2f}",
                f"{1e3 * way.processor_seconds:.0f}",
                f"{way.images_per_second / plain.images_per_second:.2f}",
                f"{alone.processor_seconds / way.processor_seconds:.2f}",
                *shares,
                f"{np.median(way.joules):.2f}" if way.joules else "-",
                f"{metres / options.width_m / options.sides:.2f}",
            )
        )
    sides = "one side" if options.sides == 1 else "both sides"
    head = ["", "images/s", "cpu ms", "x plain", "x by cpu", "of roof", "of roof by cpu", "J", "m/s"]
    print_table(head, rows)
    print(f"m/s: strip of {options.width_m:g} m at {options.pixel_mm:g} mm a pixel, {sides}")
    return max(alone.processor_seconds / way.processor_seconds for way in ways if way.name in BACKENDS)


def compare(path: Path, table: ImageTable, options: argparse.Namespace) -> float:
    bundle = Bundle.open(path)
    able = [name for name in BACKENDS if fault_of(bundle, name) is None]
    models = {name: ours(path, name) for name in able}
    plain = plain_smp(path)
    ways = [Way("plain SMP, one thread", on_one_thread(plain), "none"), Way("plain SMP, fp32", plain, "none")]
    ways.append(Way("plain ONNX Runtime", plain_onnx(path), "none"))
    ways += [Way(name, run, BACKENDS[name].precision) for name, (_, run) in models.items()]
    image_hwc = models[able[0]][0].reader()(table.path(0))
    options.pixels = image_hwc.shape[0] * image_hwc.shape[1]
    graph = bundle.read(bundle.manifest.networks[0].graphs["onnx"])
    count = operations(graph, image_hwc.shape)
    take_turns(ways, table, options.repeats)
    roofs = {BACKENDS[name].precision: Roofline(BACKENDS[name].precision, options.quick) for name in able}
    best = min((way for way in ways if way.name in models), key=lambda way: way.processor_seconds)
    model = models[best.name][0]
    alone = in_streams(model, image_hwc, max(4, options.count // 4))
    decode, decision = around_the_network(model, table)
    print(f"{count / 1e9:.1f} GFLOP an image of {image_hwc.shape[0]}x{image_hwc.shape[1]}; {len(table)} images a turn")
    for roof in roofs.values():
        print(roof)
    gain = info(ways, roofs, count, options)
    share = (decode + decision) / best.processor_seconds
    print(
        f"{best.name}: network alone {1 / alone.wall:.2f} images/s, {1e3 * alone.processor:.0f} ms of processor; "
        f"decode {1e3 * decode:.2f} ms ({cores() / decode:.0f} images/s on all cores), decisions "
        f"{1e3 * decision:.2f} ms: {share:.1%} of all"
    )
    return gain


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, help="a bundle with weights for torch in it")
    parser.add_argument("--images", type=Path, help="a folder of images; else synthetic strip")
    parser.add_argument("--encoder", default="resnet18", help="of the Unet that is trained without --model")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 1600), help="of synthetic strip: height and width")
    parser.add_argument("--count", type=int, default=24, help="images in a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each way; the median counts")
    parser.add_argument("--width-m", type=float, default=1.6, help="of the strip")
    parser.add_argument("--pixel-mm", type=float, default=1.0, help="pitch")
    parser.add_argument("--sides", type=int, choices=(1, 2), default=2)
    parser.add_argument("--growth", type=int, help="time and memory of `sever predict`, from 100 images to so many")
    parser.add_argument("--latency", type=int, help="one strip at a time from memory to masks, so many times")
    options = parse(parser, {"encoder": QUICK_ENCODER, "size": (64, 64), "count": 4, "repeats": 1})
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = options.model or make_model(folder, options.encoder, options.size, options.quick)
        print(describe_machine())
        if options.growth:
            tell_growth(path, folder, options.growth, options.size)
        elif options.latency:
            tell_latency(path, options.latency, options.size)
        else:
            images = options.images or strip_images(folder, options.count, options.size)
            table = read_folder(images, Bundle.open(path).manifest.class_names)
            table = table.take(list(range(min(options.count, len(table)))))
            gain = compare(path, table, options)
            print_ratio(gain, "best backend over plain SMP, files to rows, by processor time", AT_LEAST)


if __name__ == "__main__":
    main()
