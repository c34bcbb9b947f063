"""Random views of labelled stills for training: scale, crop, flip, colour, class mixing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..sample import VOID, Sample
from .codec_artefacts import coded_with_h264


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What `augment` may do to a sample; every probability and range is per sample.

    `crop_hw` is the output size in pixels. `scale` is the range of the random zoom (log-uniform), `aspect` the largest
    relative stretch of one side. With probability `focus` the crop is placed around a pixel of a class drawn at random
    from those in the image, so rare classes are seen more often. `mix` is the probability that half of the classes of a
    second view are pasted over the first (ClassMix, Olsson et al., WACV 2021, on true labels). `light` is the largest
    logarithm of gamma where colours change, `degrade` the probability of a cheap camera's picture, `codec` that of a
    P-frame of H.264.
    """

    crop_hw: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    aspect: float = 1.1
    flip: float = 0.5
    focus: float = 0.5
    colour: float = 0.8
    degrade: float = 0.3
    mix: float = 0.3
    codec: float = 0.0
    light: float = 0.35

    def with_crop(self, crop_hw: tuple[int, int]) -> Augmentation:
        """The same settings at another output size."""
        return replace(self, crop_hw=crop_hw)


def random_view(
    sample: Sample, settings: Augmentation, rng: np.random.Generator, other: Callable[[], Sample] | None = None
) -> Sample:
    """A random view of `sample`, (crop_hw) in size, parts outside the image void.

    `other` yields the partner for class mixing; without it there is none. Everything is a function of `rng`'s state.
    """
    view = crop_view(sample, settings, rng)
    if other is not None and rng.random() < settings.mix:
        view = class_mix(view, crop_view(other(), settings, rng), rng)
    image = view.image
    if rng.random() < settings.colour:
        image = jitter_colour(image, rng, settings.light)
    if rng.random() < settings.degrade:
        image = degrade(image, rng)
    if settings.codec and rng.random() < settings.codec:
        image = coded_with_h264(image, rng)
    return replace(view, image=image)


def crop_view(sample: Sample, settings: Augmentation, rng: np.random.Generator) -> Sample:
    """Zoom, stretch, place and flip in one affine resampling: image bilinear, labels nearest."""
    height, width = sample.labels.shape
    crop_h, crop_w = settings.crop_hw
    lowest = max(settings.scale[0], 0.8 * min(crop_h / height, crop_w / width))  # little of the crop lies outside
    zoom = float(np.exp(rng.uniform(np.log(lowest), np.log(max(lowest, settings.scale[1])))))
    stretch = float(np.exp(rng.uniform(-1, 1) * np.log(settings.aspect)))
    zoom_x, zoom_y = zoom * stretch, zoom / stretch
    cx, cy = rng.uniform(0, width), rng.uniform(0, height)
    if rng.random() < settings.focus:
        cx, cy = focus_point(sample.labels, rng) or (cx, cy)
    # The visible half-extent in source pixels; the centre is kept so that the crop stays inside where it can.
    half_w, half_h = crop_w / zoom_x / 2, crop_h / zoom_y / 2
    cx += rng.uniform(-0.5, 0.5) * half_w
    cy += rng.uniform(-0.5, 0.5) * half_h
    cx = float(np.clip(cx, min(half_w, width - half_w), max(half_w, width - half_w)))
    cy = float(np.clip(cy, min(half_h, height - half_h), max(half_h, height - half_h)))
    flip = -1.0 if rng.random() < settings.flip else 1.0
    # Maps output pixel centres to source pixel centres.
    matrix = np.array(
        [
            [flip / zoom_x, 0, cx - 0.5 - flip / zoom_x * (crop_w - 1) / 2],
            [0, 1 / zoom_y, cy - 0.5 - (crop_h - 1) / 2 / zoom_y],
        ]
    )
    source = sample.image
    if zoom < 0.75:  # keep fine structure from aliasing when shrinking
        source = cv2.GaussianBlur(source, (0, 0), 0.35 / zoom)
    flags = cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(source, matrix, (crop_w, crop_h), flags=flags | cv2.INTER_LINEAR, borderValue=(73, 83, 72))
    labels = cv2.warpAffine(
        sample.labels, matrix, (crop_w, crop_h), flags=flags | cv2.INTER_NEAREST, borderValue=(VOID,)
    )
    return Sample(sample.name, image.astype(np.uint8, copy=False), labels.astype(np.uint8, copy=False))


def focus_point(labels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[float, float] | None:
    """A random pixel (x, y) of a class drawn evenly from those present, or None if all is void."""
    present = np.unique(labels[::4, ::4])
    present = present[present != VOID]
    if len(present) == 0:
        return None
    ys, xs = np.nonzero(labels[::4, ::4] == rng.choice(present))
    i = rng.integers(len(xs))
    return float(xs[i] * 4), float(ys[i] * 4)


def class_mix(base: Sample, other: Sample, rng: np.random.Generator) -> Sample:
    """Half of the classes of `other`, drawn at random, pasted over `base`."""
    present = np.unique(other.labels)
    present = present[present != VOID]
    chosen = rng.permutation(present)[: (len(present) + 1) // 2]
    mask = np.isin(other.labels, chosen)
    return Sample(
        base.name,
        np.where(mask[..., None], other.image, base.image),
        np.where(mask, other.labels, base.labels),
    )


def jitter_colour(image: NDArray[np.uint8], rng: np.random.Generator, light: float = 0.35) -> NDArray[np.uint8]:
    """Gamma, contrast, brightness, white balance and saturation, each a little; `light` bounds the logarithm of gamma,
    and the ranges of the others but saturation grow with it."""
    gamma, more = np.exp(rng.uniform(-light, light)), light / 0.35
    contrast, brightness = 1 + 0.25 * more * rng.uniform(-1, 1), 25 * more * rng.uniform(-1, 1)
    ramp = 255 * (np.arange(256) / 255) ** gamma
    ramp = (ramp - 110) * contrast + 110 + brightness
    balance = np.exp(0.08 * more * rng.uniform(-1, 1, 3))
    table = np.clip(ramp[:, None] * balance, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, np.ascontiguousarray(table[None]))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    saturation = rng.uniform(0.5, 1.4)
    return np.asarray(cv2.addWeighted(image, saturation, grey, 1 - saturation, 0), np.uint8)


def degrade(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a cheap camera and a codec do: blur, or block artefacts of strong compression, or noise."""
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    if kind == 1:
        quality = int(rng.integers(20, 70))
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    noise = rng.normal(0, rng.uniform(2, 8), image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
