"""The pipelines of the modes, put together from their options."""

from __future__ import annotations

from typing import Any, TypeVar

from ...carriers import (
    BothWays,
    Carrier,
    DeviceFeatures,
    DeviceProbabilities,
    Features,
    GuidedHead,
    LowResolutionFusion,
    Probabilities,
)
from ...clip import ClipPipeline
from ...keyframe_pipeline import KeyframePipeline
from ...motion import CODEC, CodecMotion, FlowModel, MotionSource, OpticalFlow, motion_cell
from ...per_frame import PerFramePipeline
from ...pipeline import Pipeline
from ...refresh import AnyOf, FixedInterval, LostCells, Refresh, StreamKeyframes
from ...router import Pace, Policy, Predictor, Router, load_predictor
from ...runner import NetworkRunner
from ..ar import AlteringOptions
from ..auto import BRIDGE, AutoOptions
from ..clip import ClipOptions
from ..guided import GuidedOptions
from ..motion import MotionOptions
from ..options import CARRY_FEATURES, LowResolution, Options
from .branches import AlteringBranch, HeadModel, LowBranch

P = TypeVar("P")


def build_frame(runner: NetworkRunner, options: Options) -> Pipeline:  # noqa: ARG001
    """Mode `frame`."""
    return PerFramePipeline(runner)


def build_lr(runner: NetworkRunner, options: LowResolution) -> Pipeline:
    """Mode `lr`."""
    return PerFramePipeline(runner.companion(LowBranch(options.lr_scale)))


def build_maps(runner: NetworkRunner, options: MotionOptions) -> Pipeline:
    """Modes `motion` and `flow`."""
    motion = motion_source(runner, options.flow_source)
    carrier = map_carrier(runner, motion, options, both_ways=False)
    return KeyframePipeline(runner, motion, carrier, refresh(motion, options.interval, options.refresh_above))


def build_auto(runner: NetworkRunner, options: AutoOptions) -> Pipeline:
    """Mode `auto`."""
    predictor = load_predictor(runner.network.weights_file)
    pace = None if options.target_fps is None else Pace(options.target_fps)
    return routed_pipeline(runner, options, predictor, Policy(options.quality, options.budget, pace))


def routed_pipeline(
    runner: NetworkRunner, options: AutoOptions, predictor: Predictor, policy: Policy
) -> KeyframePipeline[Any]:
    """A pipeline as mode `auto` has it, with this predictor and this policy."""
    bridges = options.at_keyframes == BRIDGE and options.flow_source == CODEC
    motion: MotionSource = (
        CodecMotion(runner.stride, bridges=bridges, mends=True)
        if options.flow_source == CODEC
        else motion_source(runner, options.flow_source)
    )
    carrier = map_carrier(runner, motion, options, both_ways=motion.reads_codec)
    keyframes: Refresh[Any] = refresh(motion, options.interval, options.refresh_above, spares_bridged=bridges)
    router: Router[Any] = Router(runner.stride, predictor, policy, are_bridged=bridges)
    return KeyframePipeline(runner, motion, carrier, AnyOf(keyframes, router))


def build_ar(runner: NetworkRunner, options: AlteringOptions) -> Pipeline:
    """Mode `ar`."""
    carrier = LowResolutionFusion(runner.companion(AlteringBranch(options.lr_scale)))
    motion = motion_source(runner, options.flow_source)
    return KeyframePipeline(runner, motion, carrier, refresh(motion, options.interval, options.refresh_above))


def build_guided(runner: NetworkRunner, options: GuidedOptions) -> Pipeline:
    """Mode `guided`."""
    source = options.flow_source or None
    is_own = source is None or ":" not in source  # the head's file names or holds the flow, or it needs no weights
    model = runner.companion(HeadModel(options.guided_weights, source if is_own else CODEC))
    flow = None
    if not is_own:
        flow = OpticalFlow(runner, runner.companion(FlowModel(str(source))))
    elif model.needs_pictures:
        flow = OpticalFlow(runner, model)
    motion: MotionSource = CodecMotion(motion_cell(model.settings)) if flow is None else flow
    carrier = GuidedHead(runner, model, flow, key_scale=options.key_scale)
    return KeyframePipeline(runner, motion, carrier, refresh(motion, options.interval, options.refresh_above))


def build_clip(runner: NetworkRunner, options: ClipOptions) -> Pipeline:
    """Mode `clip`."""
    return ClipPipeline(runner, references=options.references)


def map_carrier(
    runner: NetworkRunner, motion: MotionSource, options: MotionOptions, *, both_ways: bool
) -> Carrier[Any]:
    """What carries the network's maps, on its device: features, or probabilities, which a later look may mend."""
    settings: dict[str, Any] = {"mix_lost": motion.mixes_lost, "key_scale": options.key_scale}
    if options.carry == CARRY_FEATURES:
        return DeviceFeatures(runner, **settings) if runner.stays_on_device else Features(runner, **settings)
    if runner.stays_on_device:
        on_device = DeviceProbabilities(runner, **settings)
        return BothWays(on_device) if both_ways else on_device
    probabilities = Probabilities(runner, **settings)
    return BothWays(probabilities) if both_ways else probabilities


def motion_source(runner: NetworkRunner, name: str) -> MotionSource:
    """The motion that `--flow-source` names, on cells of the network's stride."""
    return CodecMotion(runner.stride) if name == CODEC else OpticalFlow(runner, runner.companion(FlowModel(name)))


def refresh(motion: MotionSource, interval: int | None, above: float, *, spares_bridged: bool = False) -> Refresh[P]:
    """Keyframes by interval or the stream's own, and a look where more than the share `above` of the cells is lost."""
    keyframes: Refresh[P] = FixedInterval(interval) if interval else StreamKeyframes(spares_bridged=spares_bridged)
    return AnyOf(keyframes, LostCells(above, spares_ends=motion.reads_codec))
