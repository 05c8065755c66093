"""Networks in the layout of khornlund's fork of segmentation_models_pytorch (2019), written anew for tests.

Only names of layers, their sizes and the order of operations are those of the fork. Encoders come from libraries that
sever's own networks don't use for them (torchvision, timm), or are written here.
"""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

# efficientnet-b0: (repeats, kernel, stride, expansion, channels in, channels out) of each stage.
B0 = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]


def conv_same(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Keeps the size, or halves it; where a side can't be padded evenly, the odd pixel is right and below."""
    total = conv.kernel_size[0] - conv.stride[0]
    return conv(F.pad(x, [total // 2, total - total // 2] * 2))


class Inverted(nn.Module):
    def __init__(self, kernel: int, stride: int, expansion: int, given: int, out: int) -> None:
        super().__init__()
        wide = given * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(given, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._se_reduce = nn.Conv2d(wide, max(1, given // 4), 1)
        self._se_expand = nn.Conv2d(max(1, given // 4), wide, 1)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=1e-3)
        self.adds = stride == 1 and given == out

    def forward(self, x: Tensor) -> Tensor:
        wide = F.silu(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        wide = F.silu(self._bn1(conv_same(self._depthwise_conv, wide)))
        squeezed = self._se_expand(F.silu(self._se_reduce(wide.mean(dim=(2, 3), keepdim=True))))
        out = self._bn2(self._project_conv(wide * squeezed.sigmoid()))
        return out + x if self.adds else out


class EfficientNetB0(nn.Module):
    widths = (320, 112, 40, 24, 32)
    ends = (2, 5, 11, 16)  # how many blocks stand before the features of stride 4, 8, 16 and 32

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(channels, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks = []
        for repeats, kernel, stride, expansion, given, out in B0:
            blocks.append(Inverted(kernel, stride, expansion, given, out))
            blocks += [Inverted(kernel, 1, expansion, out, out) for _ in range(repeats - 1)]
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.silu(self._bn0(conv_same(self._conv_stem, x)))
        features = [x]
        for number, block in enumerate(self._blocks, start=1):
            x = block(x)
            if number in self.ends:
                features.append(x)
        return features[::-1]


class ResNet18(nn.Module):
    widths = (512, 256, 128, 64, 64)

    def __init__(self, channels: int) -> None:
        super().__init__()
        network = torchvision.models.resnet18()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = network.bn1, network.relu, network.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            network.layer1,
            network.layer2,
            network.layer3,
            network.layer4,
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        stem = self.relu(self.bn1(self.conv1(x)))
        features = [stem, self.layer1(self.maxpool(stem))]
        for layer in (self.layer2, self.layer3, self.layer4):
            features.append(layer(features[-1]))
        return features[::-1]


class SeResNext50(nn.Module):
    widths = (2048, 1024, 512, 256, 64)

    def __init__(self, channels: int) -> None:
        super().__init__()
        network = timm.create_model("legacy_seresnext50_32x4d", in_chans=channels)
        self.layer0, self.pool = network.layer0, network.pool0
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            network.layer1,
            network.layer2,
            network.layer3,
            network.layer4,
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        stem = self.layer0(x)
        features = [stem, self.layer1(self.pool(stem))]
        for layer in (self.layer2, self.layer3, self.layer4):
            features.append(layer(features[-1]))
        return features[::-1]


class Block(nn.Module):
    """Its layers stand in a list called `block`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def conv_bn(given: int, out: int) -> Block:
    return Block(nn.Conv2d(given, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class UnetDecoder(nn.Module):
    outs = (256, 128, 64, 32, 16)

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        for number, (given, skip, out) in enumerate(
            zip((widths[0], *self.outs), (*widths[1:], 0), self.outs, strict=False), start=1
        ):
            self.add_module(f"layer{number}", Block(conv_bn(given + skip, out), conv_bn(out, out)))
        self.final_conv = nn.Conv2d(self.outs[-1], classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[0]
        for number, skip in enumerate([*features[1:], None], start=1):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = x if skip is None else torch.cat([x, skip], dim=1)
            x = getattr(self, f"layer{number}")(x)
        return self.final_conv(x)


class Skip(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(width, 256, 1)


class Grow(nn.Module):
    """Convolution, group norm, and a doubling of the size where `times` is above 0."""

    def __init__(self, given: int, doubles: bool) -> None:
        super().__init__()
        self.doubles = doubles
        self.block = nn.Sequential(nn.Conv2d(given, 128, 3, padding=1, bias=False), nn.GroupNorm(32, 128), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True) if self.doubles else x


class FpnDecoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], classes: int, merge: str) -> None:
        super().__init__()
        self.merge = merge
        self.conv1 = nn.Conv2d(widths[0], 256, 1)
        self.p4, self.p3, self.p2 = (Skip(width) for width in widths[1:4])
        self.s5, self.s4, self.s3, self.s2 = (
            Block(*(Grow(256 if step == 0 else 128, times > 0) for step in range(max(1, times))))
            for times in (3, 2, 1, 0)
        )
        self.final_conv = nn.Conv2d(128 if merge == "add" else 512, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        levels = [self.conv1(features[0])]
        for step, skip in zip((self.p4, self.p3, self.p2), features[1:4], strict=True):
            levels.append(F.interpolate(levels[-1], scale_factor=2, mode="nearest") + step.skip_conv(skip))
        grown = [step(level) for step, level in zip((self.s5, self.s4, self.s3, self.s2), levels, strict=True)]
        merged = sum(grown) if self.merge == "add" else torch.cat(grown, dim=1)
        return F.interpolate(self.final_conv(merged), scale_factor=4, mode="bilinear", align_corners=True)


ENCODERS = {"efficientnet-b0": EfficientNetB0, "resnet18": ResNet18, "se_resnext50_32x4d": SeResNext50}


class Network2019(nn.Module):
    """An encoder and a decoder, with random weights and statistics."""

    def __init__(
        self, architecture: str, encoder: str, channels: int = 1, classes: int = 4, merge: str = "add"
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = ENCODERS[encoder](channels)
        widths = self.encoder.widths
        unet = architecture == "Unet"
        self.decoder = UnetDecoder(widths, classes) if unet else FpnDecoder(widths, classes, merge)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        self.eval()
        with torch.no_grad():  # answers that differ from place to place
            self.decoder.final_conv.weight /= self(torch.randn(1, channels, 64, 64)).std()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def config_2019(architecture: str, encoder: str, channels: str = "r", merge: str = "add") -> dict:
    """As it stands in the solution's experiments."""
    args = {
        "activation": None,
        "classes": 4,
        "dropout": 0.1,
        "encoder_name": encoder,
        "encoder_weights": "imagenet",
        "in_channels": channels,
        "weight_std": False,
    }
    if architecture == "FPN":
        args["decoder_merge_policy"] = merge
    return {
        "short_name": "sever-cuda:0",
        "save_dir": "saved/",
        "seed": 642,
        "device": 0,
        "arch": {"type": architecture, "args": args},
        "augmentation": {"type": "HeavyCropTransforms", "args": {"height": 256, "width": 384}},
        "data_loader": {
            "type": "SteelSegPseudoDataLoader",
            "args": {"alpha": -0.15, "batch_size": 18, "data_dir": "data/raw/severstal", "validation_split": 0.2},
        },
        "loss": {"type": "BCEDiceLoss", "args": {"bce_weight": 0.6, "dice_weight": 0.4}},
        "lr_scheduler": {"type": "CosineAnnealingScheduler", "args": {"n_epochs": 250, "start_anneal": 30}},
        "metrics": ["dice_0", "dice_mean"],
        "optimizer": {
            "type": "RAdam",
            "args": {"lr": 0.001, "weight_decay": 0.0002},
            "decoder": {"lr": 0.003, "weight_decay": 0.0003},
            "encoder": {"lr": 7.0e-05, "weight_decay": 3.0e-05},
        },
        "testing": {"batch_size": 128, "data_dir": "data/"},
        "training": {"early_stop": 50, "epochs": 250, "monitor": "min val_loss", "save_period": 1},
    }
