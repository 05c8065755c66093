"""`sever verify`: the certificate again, on this machine and these images; imports torch only where it is there."""

from __future__ import annotations

from pathlib import Path

from sever.config import DataSettings
from sever.data.layouts import read_images, read_table
from sever.data.table import ImageTable
from sever.deliver.runtime.backends import BACKENDS
from sever.errors import InputError
from sever.pipeline.export.certificate import Contender, compare, decide_by
from sever.pipeline.export.images import LabelledImages
from sever.pipeline.inference.bundled import TORCH, bundle_model, fault_of
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions
from sever.progress import info
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import CertificateRecord
from sever.store.bundle.unpacked import torch_path


def verify_bundle(path: Path, images: Path | None, data: Path | None, most: int) -> CertificateRecord:
    """Compare every backend that the bundle offers, and that is installed, with torch, or else with the first of full
    precision. With labels (`data`) scores are compared, too. Raises InputError where there is nothing to compare."""
    bundle = Bundle.open(path)
    bundle.check()
    faults = {name: fault_of(bundle, name) for name in (*BACKENDS, TORCH)}
    for name, fault in faults.items():
        if fault is not None:
            info(f"{name} is not compared: {fault}")
    able = [name for name, fault in faults.items() if fault is None]
    name, reference = _reference(bundle, able)
    contenders = {each: _contender(bundle, each) for each in able if each != name}
    if not contenders:
        raise InputError(
            f"{path} runs in {', '.join(able) or 'nothing'} here, so there is nothing to compare it with; install "
            "another backend that it offers: pip install 'sever[runtime]' 'sever[openvino]'"
        )
    chosen = _images(bundle, images, data).sample(most)
    stated = "torch in full precision" if name == "" else f"{name} (torch can't answer here)"
    manifest = bundle.manifest
    decide = decide_by(manifest.rules, len(manifest.class_names), manifest.draws_masks)
    compared = compare(
        reference.network.predict,
        decide,
        contenders,
        chosen.table,
        reference.reader(),
        manifest.draws_masks,
        chosen.of,
        stated,
        labelled=data is not None,
    )
    return compared.certificate


def raise_if_beyond(certificate: CertificateRecord) -> None:
    """Raises InputError where a backend answers otherwise than the certificate promises."""
    wrong = [f"{each.backend}: {each.why}" for each in certificate.backends if not each.taken]
    if wrong:
        raise InputError(f"beyond the limit on this machine: {'; '.join(wrong)}. Use another backend (--backend)")


def _reference(bundle: Bundle, able: list[str]) -> tuple[str, Model]:
    """What all are compared with, and the backend's name where it is one of the bundle's."""
    if TORCH in able:
        return "", load_model(torch_path(bundle.place), InferenceOptions(precision="no"))
    full = [name for name in able if name != TORCH and BACKENDS[name].is_full]
    if not full:
        raise InputError(f"{bundle.place} runs in no backend of full precision here; install onnxruntime or openvino")
    return full[0], bundle_model(bundle, full[0])


def _contender(bundle: Bundle, name: str) -> Contender:
    stated = bundle.manifest.certificate and bundle.manifest.certificate.of_backend(name)
    agreement = stated.agreement if stated else None
    if name == TORCH:
        model = load_model(torch_path(bundle.place), InferenceOptions())
        precision = model.config.train.precision
        return Contender(model.network.predict, f"torch, {precision}", precision == "no", agreement)
    backend = BACKENDS[name]
    return Contender(bundle_model(bundle, name).network.predict, backend.version(), backend.is_full, agreement)


def _images(bundle: Bundle, images: Path | None, data: Path | None) -> LabelledImages:
    manifest = bundle.manifest
    if (images is None) == (data is None):
        raise InputError("give either --images FOLDER, or --data ROOT, images with labels")
    if data is not None:
        settings = DataSettings(root=data, num_classes=len(manifest.class_names), max_pixels=manifest.max_pixels)
        table = read_table(settings, "train")[0]
        if table.class_names != manifest.class_names:
            raise InputError(
                f"the bundle knows the classes {', '.join(manifest.class_names)}, but the labels have "
                f"{', '.join(table.class_names)}"
            )
        return LabelledImages(table, f"images of {data.name}")
    assert images is not None
    found: ImageTable = read_images(images, manifest.class_names, max_pixels=manifest.max_pixels)[0]
    return LabelledImages(found, f"images of {images.name}, without labels")
