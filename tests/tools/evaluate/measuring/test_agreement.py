"""Agreement with the per-frame network: on made frames with known values, and on clips that x264 encoded."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional

from gopseg.codec import EncodeSettings, Frame, open_video, pictures_of_images, transcode
from gopseg.pipelines import MODES, Mode, Options, Pipeline, Scored
from gopseg.segnet import SegmentationNetwork
from gopseg.tools.evaluate.measuring.agreement import BINS, EXACT, Agreement, bin_name, bin_of
from gopseg.tools.evaluate.measuring.costs import Costs
from gopseg.tools.evaluate.measuring.flicker import Flicker
from gopseg.tools.evaluate.measuring.shared_runner import SharedRunner
from gopseg.tools.evaluate.variants import Variant, make_variants

SIZE = (64, 96)


class GreyNetwork(SegmentationNetwork):
    """Two classes, dark and bright, told by the grey level at stride 2; counts its pictures."""

    feature_channels, feature_stride, classes = 1, 2, ("dark", "bright")

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.pictures = 0

    def features(self, images):
        self.pictures += 1
        return functional.avg_pool2d(images[:, :1], 2) * self.weight

    def classify(self, p):
        return torch.cat([-p, p], 1)

    @property
    def mean(self):
        return torch.full((1, 3, 1, 1), 100.0)

    @property
    def std(self):
        return torch.ones(1, 3, 1, 1)


def stripe(edge):
    """A picture that is dark left of column `edge` and bright right of it."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, edge:] = 200
    return image


def frames(edges, gop):
    for i, edge in enumerate(edges):
        yield Frame(
            i, i, Fraction(1), "P" if i % gop else "I", i % gop == 0, i % gop, SIZE, load_image=lambda e=edge: stripe(e)
        )


class Repeating(Pipeline):
    """Repeats the keyframe's labels."""

    def _observe(self, frame):
        if frame.is_keyframe:
            self.logits = self.runner.logits(frame.image)

    def _segment(self, frame):
        return Scored(self.logits, frame.is_keyframe)


@dataclass(frozen=True, kw_only=True)
class NoOptions(Options):
    def __post_init__(self):
        """It is no option of a command."""


REPEAT = Variant(
    "repeat", "repeat", Mode(name="repeat", help="", options=NoOptions, build=lambda runner, _: Repeating(runner)), ""
)
FRAME = Variant("frame", "frame", MODES["frame"], "")


def compared(variants, seen):
    network = GreyNetwork()
    agreement = Agreement(variants, {"": SharedRunner(network, device="cpu", precision="fp32")}, "")
    network.pictures = 0
    agreement.run(seen)
    return agreement, network


def test_a_made_disagreement_has_the_value_that_was_made():
    agreement, network = compared([FRAME, REPEAT], frames([16, 24, 32, 16, 40], 3))
    frame, repeat = (result.record() for result in agreement.results)
    assert (frame["pixel_agreement"], frame["miou_agreement"], frame["pixel_agreement_worst_frame"]) == (1, 1, 1)
    # Behind the keyframes the edge is 8 and 24 columns off at d = 1, and 16 at d = 2, of 96 columns.
    rows = repeat["by_distance"]
    assert [(row["distances"], row["frames"]) for row in rows] == [("0", 2), ("1", 2), ("2", 1)]
    assert [row["pixel_agreement"] for row in rows] == pytest.approx([1, 1 - 16 / 96, 1 - 16 / 96])
    assert rows[2]["miou_agreement"] == pytest.approx((16 / 32 + 64 / 80) / 2)
    assert repeat["pixel_agreement"] == pytest.approx(1 - (8 + 16 + 24) / (5 * 96))
    assert repeat["pixel_agreement_mean"] == pytest.approx(1 - 2 * 16 / 96 / 3)
    assert repeat["pixel_agreement_min"] == pytest.approx(1 - 16 / 96)
    assert repeat["pixel_agreement_worst_frame"] == pytest.approx(1 - 24 / 96)
    assert (repeat["frames"], repeat["network_frames"]) == (5, 2)
    assert network.pictures == 5, "once a frame for the reference and both modes"


def test_matrices_are_bounded_however_long_a_gop():
    assert [bin_of(d) for d in (0, EXACT - 1, EXACT, 63, 64, 4096, 10**7)] == [0, 31, 32, 32, 33, BINS - 1, BINS - 1]
    assert [bin_name(at) for at in (7, 32, 33, BINS - 1)] == ["7", "32-63", "64-127", "4096+"]
    agreement, _ = compared([REPEAT], frames([16] * 70, 70))
    rows = agreement.results[0].record()["by_distance"]
    assert [row["distances"] for row in rows[-3:]] == ["31", "32-63", "64-127"]
    assert [row["frames"] for row in rows[-2:]] == [32, 6]
    assert rows[-2]["distance_mean"] == 47.5


def test_operations_are_means_over_the_frames_of_the_stream():
    agreement, _ = compared([REPEAT], frames([16, 24, 32, 16, 40], 3))
    (result,) = agreement.results
    result.operations = {(True, True): 8e9, (False, False): 1e9}
    assert result.record()["gflops_per_frame"] == pytest.approx((2 * 8 + 3 * 1) / 5)


def encoded(file, edges, gop):
    pictures = pictures_of_images((stripe(edge) for edge in edges), "stripes", Fraction(15))
    transcode(pictures, file, EncodeSettings(gop=gop, bitrate_bps=3_000_000))
    return file


def test_a_keyframe_that_is_carried_costs_what_other_carried_frames_do():
    costs = Costs()
    costs.operations = {(True, True): 100e9, (False, False): 2e9}
    costs.frames[:], costs.network_frames[:] = (4, 8), (1, 2)
    assert costs.gflops == pytest.approx(((100 + 3 * 2) / 4, (2 * 100 + 6 * 2) / 8))


def test_a_clip_that_stands_still_loses_nothing_and_does_not_flicker(tmp_path):
    file = encoded(tmp_path / "still.mp4", [32] * 6, 6)
    variants = make_variants("frame,motion", "", {})
    with open_video(file) as video:
        agreement, network = compared(variants, video)
    frame, motion = (result.record() for result in agreement.results)
    assert frame["pixel_agreement"] == motion["pixel_agreement"] == 1
    assert (motion["network_frames"], motion["frames"]) == (1, 6)
    assert network.pictures == 1, "the decoded frames are all the same"
    assert agreement.flicker.compute() == {"share": 0.0, "coverage": 1.0, "pairs": 5}


def test_flicker_is_the_share_of_followed_pixels_that_change(tmp_path):
    flicker = Flicker()
    with open_video(encoded(tmp_path / "still.mp4", [32] * 6, 3)) as video:
        for frame in video:
            labels = np.zeros(SIZE, np.uint8)
            labels[:, : 24 * (frame.index % 2)] = 1
            flicker.update(frame, labels)
    found = flicker.compute()
    # Frame 3 is a keyframe: no motion leads from it to frame 2.
    assert (found["pairs"], found["coverage"]) == (4, pytest.approx(4 / 5))
    assert found["share"] == pytest.approx(24 / 96)


def test_without_motion_flicker_is_not_known():
    flicker = Flicker()
    for frame in frames([16, 16], 2):
        flicker.update(frame, np.zeros(SIZE, np.uint8))
    assert np.isnan(flicker.compute()["share"])
    assert flicker.compute()["coverage"] == 0
