"""`train-segnet lr`: an LR branch alone, with feature similarity training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...console import command, option
from ...segnet import architecture_names
from .loss_options import LOSS, WEIGHT, distillation_option, loss_options
from .options import STOPPED, hr_option, image_options, lr_scale_option, need_extra, run_options

if TYPE_CHECKING:
    from ...segnet import SegmentationNetwork


@command(interrupted=STOPPED)
@hr_option
@option(
    "--arch",
    type=click.Choice(architecture_names()),
    help="Architecture of the branch, with as many feature channels as the HR network; the HR network's without it.",
)
@lr_scale_option
@run_options
@image_options
@distillation_option
@option("--fst", type=WEIGHT, default=1.0, show_default=True, group=LOSS, help="Weight of feature similarity.")
def lr(
    dataset: str,
    root: Path | None,
    val_frames: int | None,
    hr: str,
    arch: str | None,
    lr_scale: float,
    fst: float,
    distillation: float,
    output: Path,
    resume: bool,
    **options: Any,
) -> None:
    """Train a low-resolution branch, which sees frames shrunk to --lr-scale (AR-Seg's first stage).

    It starts as a copy of the HR network (another --arch: with what fits of it) and keeps its classifier; --fst and
    --distillation add the distance of its features and of its output to those of the HR network on the same frame.
    Leaves the same files as `train-segnet hr`.
    """
    need_extra()
    import torch

    from ...segnet import LowResolution, load_network, save_branch
    from .running import FrameRun, architecture_of, branch_network, of_frames, prepare_folder, run_trainer, weights_of
    from .samples import check_network
    from .trainers import ImageTrainer

    checkpoint = prepare_folder(output, resume=resume)
    teacher = load_network(hr)
    architecture = architecture_of(teacher, hr)
    chosen = loss_options(options, lambda: of_frames(architecture))
    run = FrameRun.of(dataset, root, val_frames, chosen, fst=fst, distillation=distillation)
    check_network(teacher, hr, run.data)
    torch.manual_seed(run.settings.seed)
    low = LowResolution(load_network(hr) if arch is None else branch_network(arch, teacher, hr), lr_scale)
    low.freeze_classifier()
    weights = run.class_weights()
    extra, data_facts = run.mixed_in(output)
    trainer = ImageTrainer(
        low,
        run.train,
        run.val,
        run.settings,
        run.own,
        output,
        weights=weights,
        extra=extra,
        teacher=teacher if fst or distillation else None,
    )

    def write(average: SegmentationNetwork, file: Path) -> None:
        assert isinstance(average, LowResolution)
        save_branch(average, file, arch or architecture)

    facts = {
        "kind": "lr",
        "architecture": arch or architecture,
        "scale": lr_scale,
        "hr": weights_of(teacher, hr),
        **data_facts,
        "classes": list(low.classes),
    }
    run_trainer(trainer, checkpoint, write, facts, run.data, resume=resume)
