"""The model card of a bundle: what its manifest says, as a page of Markdown that a person reads."""

from __future__ import annotations

from sever.store.bundle.manifest import BackendRecord, BundleRecord, CertificateRecord, NodeRecord


def model_card(manifest: BundleRecord) -> str:
    """Markdown; the same facts as the manifest's, none of its own."""
    parts = [
        f"# {manifest.name}",
        f"Finds {_listed(manifest.class_names)} in images of steel. Written by sever {manifest.sever}.",
        *_model(manifest),
        *_trained_on(manifest),
        *_scores(manifest),
        *(certificate_lines(manifest.certificate) if manifest.certificate else ()),
        "## Limits",
        "",
        "It was judged on images like those that it was trained on: another camera, line or steel grade needs a score "
        "of its own (`sever evaluate`). It finds the classes that are named above and no others.",
        "",
        "## Licences",
        "",
        *(f"- {each.of}: {each.licence}" for each in manifest.licences),
    ]
    return "\n\n".join(parts[:2]) + "\n\n" + "\n".join(parts[2:]) + "\n"


def certificate_lines(certificate: CertificateRecord) -> list[str]:
    """The comparison as a Markdown table, with what was left out and why."""
    head = (
        "| backend | taken | largest difference | mean | pixels changed | rows changed | score difference | images/s |"
    )
    lines = [
        "## Parity certificate",
        "",
        f"Compared with {certificate.reference} on {certificate.images} images ({certificate.of}), through the full "
        f"decision rules, on {certificate.date}, {certificate.machine}, {certificate.threads} threads.",
        "",
        head,
        "|" + "---|" * (head.count("|") - 1),
    ]
    lines += [_row(each) for each in certificate.backends]
    left_out = [f"- {each.backend} is left out: {each.why}" for each in certificate.backends if not each.taken]
    return [*lines, "", *left_out, *([""] if left_out else [])]


def _row(backend: BackendRecord) -> str:
    score = backend.score
    stated = f"{score.mean:+.4f} [{score.low:+.4f}, {score.high:+.4f}]" if score else "-"
    tied = f" ({backend.rows_tied} by ties)" if backend.rows_tied else ""
    cells = (
        backend.backend,
        "yes" if backend.taken else "no",
        f"{max(backend.max_difference, backend.label_difference):.1e}",
        f"{backend.mean_difference:.1e}",
        f"{backend.pixels_changed:.4%}",
        f"{backend.rows_changed} of {backend.rows}{tied}",
        stated,
        f"{backend.images_per_second:.3g}",
    )
    return "| " + " | ".join(cells) + " |"


def _model(manifest: BundleRecord) -> list[str]:
    lines = ["## Model", ""]
    for number, network in enumerate(manifest.networks):
        channels = "grey" if network.channels == 1 else "RGB"
        flips = f", averaged over the flips {_listed(network.flips)}" if network.flips else ""
        lines.append(
            f"- network {number}, {network.name}: {network.architecture}, {network.encoder}, {channels}{flips}"
        )
    if manifest.model.blend is not None:
        lines.append(f"- together: {_blend(manifest.model)}")
    knowing = [number for number, network in enumerate(manifest.networks) if network.normality is not None]
    if len(knowing) == len(manifest.networks):
        lines.append("- it says how familiar an image is: the share of normal images that are at least as strange")
    if manifest.rules.gate.kind != "none":
        lines.append(f"- gate: {manifest.rules.gate.kind}, by the mean of all label probabilities")
    return [*lines, ""]


def _blend(node: NodeRecord) -> str:
    if node.blend is None:
        return f"network {node.network}"
    weights = f", weights {', '.join(f'{weight:g}' for weight in node.blend.weights)}" if node.blend.weights else ""
    return f"{node.blend.kind} of ({'; '.join(_blend(member) for member in node.members)}){weights}"


def _trained_on(manifest: BundleRecord) -> list[str]:
    found = manifest.statistics
    if found is None:
        return []
    sizes = _listed([f"{height}x{width} ({count})" for height, width, count in found.sizes])
    classes = [
        f"- {name}: {each.images} images, {each.pixels:,} pixels"
        for name, each in zip(manifest.class_names, found.classes, strict=True)
    ]
    about = f"{found.images} images, {found.clean_images} of them clean; height x width: {sizes}."
    return ["## Trained on", "", about, "", *classes, ""]


def _scores(manifest: BundleRecord) -> list[str]:
    scores = manifest.scores
    if scores is None:
        return []
    lines = [
        f"## Score, {scores.of}",
        "",
        f"Mean Dice over all (image, class) pairs of {scores.images} images: {scores.dice.mean:.4f} "
        f"[{scores.dice.low:.4f}, {scores.dice.high:.4f}]; masks that are all empty would score "
        f"{scores.dice_all_empty:.4f}.",
        "",
    ]
    for name, each in zip(manifest.class_names, scores.dice_per_class, strict=True):
        lines.append(f"- {name}: {each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]")
    return [*lines, ""]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)
