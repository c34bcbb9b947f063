"""Clips in AR-Seg's layout (Hu et al., CVPR 2023): decoded frames, decoded keyframes, composed motion maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...codec import BLOCK, EncodeError, MotionField, Transcoded, disk_errors, open_video
from ...data import Palette, write_labels
from ...files import discard, part_of, publish, publish_together, refuse_taken, remove_abandoned, whole_file
from ..jobs import sha256_of, sidecar_part
from .clip_job import ClipFiles, ClipJob, ScoredFrame, encode_frames

_QUARTER = 4


class PixelChain:
    """Motion to the keyframe as AR-Seg's scripts compose it: pixel by pixel, each hop rounded to whole pixels.

    `displacement()` is (H, W, 2) int16 in quarter pixels, x before y: keyframe position = position + displacement.
    Blocks without a reference go on at the same place in the frame before; positions stay in the picture. Coarser than
    `gopseg.codec.MotionChain`, which keeps quarter pixels; here for files that other people's scripts read.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._y, self._x = np.indices(size_hw, np.int32)
        self._end_x, self._end_y = self._x, self._y

    def push(self, field: MotionField) -> None:
        """Add the next frame's field on the 8x8 grid; the frame pushed first follows the keyframe."""
        height, width = self._size_hw
        hop = np.rint(field.displacement).astype(np.int32)  # half to even, as the scripts round
        hop = hop.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]
        x = np.clip(self._x + hop[..., 0], 0, width - 1)
        y = np.clip(self._y + hop[..., 1], 0, height - 1)
        self._end_x, self._end_y = self._end_x[y, x], self._end_y[y, x]

    def displacement(self) -> NDArray[np.int16]:
        """From the frame pushed last to the keyframe."""
        motion = np.stack([self._end_x - self._x, self._end_y - self._y], -1) * _QUARTER
        return np.asarray(motion, np.int16)


@dataclass(frozen=True)
class ArSegClipJob(ClipJob):
    """A clip of CamVid or Cityscapes into `folder`, which is a bitrate's (such as 3M-GOP12)."""

    split: str
    is_cityscapes: bool

    @property
    def account(self) -> Path:
        """A JSON in `clips/`, which the authors' folders do not have."""
        return self.folder / "clips" / f"{self.clip.name}.json"

    @property
    def keyframe(self) -> Path:
        """The decoded keyframe."""
        first = self.clip.images[0]
        return self.folder / "frames" / self._place / f"{first.stem}.png"

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The account, the keyframe, and image and motion map of each frame that counts."""
        images = [self.image(frame) for frame in self.clip.scored]
        maps = [self.motion_map(frame) for frame in self.clip.scored if frame.distance]
        return self.account, self.keyframe, *images, *maps

    def image(self, frame: ScoredFrame) -> Path:
        """The decoded image of a frame that counts."""
        folder = decoded_folder(self.folder, self.encoder.gop, frame.distance)
        if self.is_cityscapes:
            return folder / "leftImg8bit" / self._place / f"{frame.name}_gtFine_leftImg8bit.png"
        return folder / self.split / f"{frame.name}.png"

    def motion_map(self, frame: ScoredFrame) -> Path:
        """The motion map of a frame that counts; of distance 0 there is none."""
        infix = "_gtFine_leftImg8bit" if self.is_cityscapes else ""
        folder = self.folder / f"MVmap_GOP{self.encoder.gop}_dist_{frame.distance}"
        return folder / self._place / f"{frame.name}{infix}.bin"

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Encode, decode, and write images and maps; the account appears last."""
        own = [path for path in self.outputs if path != self.keyframe]  # clips may begin with the same image
        if not self.may_replace:
            refuse_taken(own)
        video, account = self.folder / f"{self.clip.name}.mp4", dict[str, Any]()
        with disk_errors(self.folder):
            for path in (*self.outputs, *(self.motion_map(frame) for frame in self.clip.scored)):
                path.parent.mkdir(parents=True, exist_ok=True)

            def finish(result: Transcoded, part: Path) -> None:
                with ExitStack() as stack:
                    parts = self._decode(part, stack)
                    account.update(self.content(result, sha256_of(part)))
                    publish(parts.pop(self.keyframe), self.keyframe)
                    parts[self.account] = stack.enter_context(sidecar_part(self.account, account))
                    publish_together([(each, path) for path, each in parts.items()], replace=self.may_replace)

            encode_frames(self.clip.images, video, self.encoder, self.frame_rate, on_frame=on_frame, finish=finish)
        return account

    @property
    def _place(self) -> Path:
        """The folder of scene or city, which the source's images are in too."""
        parent = Path(self.clip.images[0].parent.name)
        return Path(self.split) / parent if self.is_cityscapes else parent

    def _decode(self, file: Path, stack: ExitStack) -> dict[Path, Path]:
        """Images and maps of the video `file`: where they are till the stack ends, by their names to be."""
        scored = {frame.frame: frame for frame in self.clip.scored}
        parts: dict[Path, Path] = {}

        def part_for(path: Path) -> Path:
            remove_abandoned(path)
            parts[path] = part = part_of(path)
            stack.callback(discard, part)
            return part

        last = max(scored)
        with open_video(file, qp=False) as video:
            chain = PixelChain(video.size_hw)
            for frame in video:
                if frame.distance == 0:
                    _save(part_for(self.keyframe), frame.image)
                elif frame.motion is not None:
                    chain.push(MotionField.from_vectors(frame.motion))
                if frame.index in scored:
                    _save(part_for(self.image(scored[frame.index])), frame.image)
                    if frame.distance:
                        motion = chain.displacement().astype("<i2").tobytes()
                        part_for(self.motion_map(scored[frame.index])).write_bytes(motion)
                if frame.index == last:
                    break
        return parts


def decoded_folder(folder: Path, gop: int, distance: int) -> Path:
    """Where the decoded frames of one distance are."""
    return folder / f"decoded_GOP{gop}_dist_{distance}"


def write_camvid_labels(
    folder: Path, clips: Iterable[ClipFiles], gop: int, split: str, palette: Palette, tagged: Path
) -> None:
    """CamVid's labels to `folder`/SPLIT_labels_with_ignored/NAME_L.png, each once, linked into every decoded folder.

    `clips` have AR-Seg's 12 classes; `tagged` is the bitrate's folder.
    """
    name = f"{split}_labels_with_ignored"
    labels = folder / name
    labels.mkdir(parents=True, exist_ok=True)
    distances, written = set(), set()
    for clip in clips:
        for frame in clip.scored:
            distances.add(frame.distance)
            if frame.name not in written:
                file = labels / f"{frame.name}_L.png"
                with disk_errors(file), whole_file(file) as part:
                    write_labels(part, clip.read_labels(frame.label), palette)
                written.add(frame.name)
    for distance in distances:
        _link(decoded_folder(tagged, gop, distance) / name, labels)


def link_cityscapes_labels(tagged: Path, clips: Iterable[ClipFiles], gop: int, labels: Path) -> None:
    """Link Cityscapes' folder gtFine into every decoded folder of `tagged`."""
    for distance in {frame.distance for clip in clips for frame in clip.scored}:
        _link(decoded_folder(tagged, gop, distance) / "gtFine", labels)


def _link(link: Path, target: Path) -> None:
    part = part_of(link)
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        part.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()), target_is_directory=True)
        part.replace(link)
    except OSError as error:
        raise EncodeError(
            f"{link}: cannot be linked to {target} ({error.strerror}); move what is there away"
        ) from error
    finally:
        discard(part)


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    Image.fromarray(image).save(path, format="PNG", compress_level=1)
