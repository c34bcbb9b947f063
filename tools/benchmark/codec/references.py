"""`benchmark-codec references`: how well the references of other encoders' streams are recovered, and what for."""

from __future__ import annotations

import io
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from tqdm import tqdm

from ....codec import MotionChain, MotionField, filled, open_video
from ....data import SyntheticStreet, open_frames
from ....errors import InputError
from ..printing import report
from .known_references import LayeredClip

Image = NDArray[np.uint8]
ONE_REFERENCE = "ref=1:bframes=0:weightp=0:scenecut=0:open-gop=0"
_CLIP_SIZE, _CLIP_GOP, _CLIP_CRF = (240, 320), 24, "23"


def measure_references(
    source: str | None, presets: str, params: str, gop: int, bitrate: int, fps: float, frames: int, repeat: int
) -> None:
    """Measure and report; the arguments are those of `benchmark-codec references`."""
    cv2.setNumThreads(1)
    images = images_of(source, frames)
    clip = LayeredClip.make(frames, _CLIP_SIZE)
    rate = Fraction(fps).limit_denominator(1001)
    results = {}
    for preset in tqdm(presets.split(","), disable=not sys.stderr.isatty(), leave=False):
        foreign = {"preset": preset, "x264-params": params}
        stream = encoded(images, rate, gop, foreign, bitrate)
        one = encoded(images, rate, gop, {"preset": preset, "x264-params": ONE_REFERENCE}, bitrate)
        layers = (clip.image(index) for index in range(len(clip)))
        known = encoded(layers, rate, _CLIP_GOP, foreign | {"crf": _CLIP_CRF})
        psnr = {
            "recovered": _psnr(stream, recover=True),
            "previous": _psnr(stream, recover=False),
            "one_reference": _psnr(one, recover=False),
        }
        common = [d for d in psnr["recovered"] if d in psnr["one_reference"]]
        results[preset] = {
            "attribution": _attribution(known, clip),
            "psnr_db": psnr,
            "least_gain_db": round(min(psnr["recovered"][d] - psnr["previous"].get(d, 0.0) for d in common), 2),
            "worst_against_one_reference_db": round(
                min(psnr["recovered"][d] - psnr["one_reference"][d] for d in common), 2
            ),
            "ms_per_frame": _timing(stream, repeat),
        }
        with open_video(io.BytesIO(stream), motion=False) as video:
            results[preset] |= {"pict_types": "".join(frame.pict_type for frame in video), "bytes": len(stream)}
    report(
        source=source or "synthetic street",
        size_hw=images[0].shape[:2],
        frames=len(images),
        gop=gop,
        bitrate_bps=bitrate,
        x264_params=params or "defaults",
        presets=results,
    )


def images_of(source: str | None, count: int) -> list[Image]:
    """The first `count` frames of a video, of a folder or, without `source`, of a street; InputError if they are not
    two or more of one size."""
    if source is None:
        street = SyntheticStreet(size_hw=(360, 480))
        bar = tqdm(street.frames(count), total=count, desc="street", disable=not sys.stderr.isatty(), leave=False)
        return [image for image, _ in bar]
    opened = open_frames(source) if Path(source).is_dir() else open_video(source, motion=False)
    with opened as frames:
        images = [frame.image for frame in itertools.islice(frames, count)]
    if len({image.shape for image in images}) > 1 or len(images) < 2:
        raise InputError(f"'{source}': {len(images)} frames, not all of one size; give a source of two or more alike")
    return images


def encoded(images: Iterable[Image], rate: Fraction, gop: int, options: dict[str, str], bitrate: int = 0) -> bytes:
    """An MP4 of the images by libx264 with these options, those that are empty left out."""
    file, reformatter = io.BytesIO(), VideoReformatter()
    with av.open(file, "w", format="mp4") as container:
        stream = None
        for index, image in enumerate(images):
            height, width = (size - size % 2 for size in image.shape[:2])
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), "rgb24")
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options={k: v for k, v in options.items() if v})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.gop_size, stream.codec_context.thread_count = gop, 1
                if bitrate:
                    stream.bit_rate = bitrate
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(reformatter.reformat(picture, format="yuv420p", threads=1)))
        if stream is not None:
            container.mux(stream.encode(None))
    return file.getvalue()


def _attribution(stream: bytes, clip: LayeredClip) -> dict[str, float]:
    with open_video(io.BytesIO(stream), references=True) as video:
        inter, known, right, previous = (sum(part) for part in zip(*(clip.attribution(f) for f in video), strict=True))
    return {
        "known_share_of_inter_area": round(known / inter, 4),
        "right": round(right / known, 4),
        "previous_would_be_right": round(previous / known, 4),
    }


def _psnr(stream: bytes, *, recover: bool) -> dict[int, float]:
    """PSNR in dB by distance to the keyframe, of the mean squared error over the frames at that distance."""
    errors: dict[int, list[float]] = defaultdict(list)
    with open_video(io.BytesIO(stream), references=recover) as video:
        frames = list(video)
        chain = MotionChain(video.size_hw)
    for frame in frames:
        if frame.is_keyframe:
            chain.reset()
        elif frame.motion is not None:
            chain.push(filled(MotionField.from_vectors(frame.motion)))
            key = frame.index - frame.distance if frame.references is None else frame.key_index
            motion = chain.compose(4) if frame.references is None else frame.references.compose(4)
            error = np.square(warped(frames[key].image, motion).astype(np.float32) - frame.image).mean()
            errors[frame.index - key].append(float(error))
    return {d: round(float(10 * np.log10(255**2 / np.mean(errors[d]))), 2) for d in sorted(errors)}


def warped(image: Image, motion: MotionField) -> Image:
    """What `motion` makes of the image it leads to: bilinear, the border repeated outwards."""
    height, width = motion.size_hw
    cell = round(motion.cell[0])
    shift = motion.displacement.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    warped = cv2.remap(image, x + shift[..., 0], y + shift[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _timing(stream: bytes, repeat: int) -> dict[str, float]:
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeat):
        times["read"].append(_pass(stream, references=False))
        times["read_with_references"].append(_pass(stream, references=True))
        times["and_compose"].append(_pass(stream, references=True, compose=True))
    return {name: round(median(values), 2) for name, values in times.items()}


def _pass(stream: bytes, *, references: bool, compose: bool = False) -> float:
    """Milliseconds of processor time a frame."""
    begin, count = time.process_time(), 0
    with open_video(io.BytesIO(stream), references=references, threads=1) as video:
        for frame in video:
            count += 1
            if compose and frame.references is not None:
                frame.references.compose(4)
    return (time.process_time() - begin) * 1e3 / count
