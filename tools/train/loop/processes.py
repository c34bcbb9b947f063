"""The processes of one training: they see different samples, and step together."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs, PartialState
from torch import Tensor

LONGEST_VALIDATION = timedelta(hours=6)
"""How long other processes wait for the main one, which validates alone."""


def join_processes() -> Accelerator:
    """This process's place among those that `torchrun` or `accelerate launch` started; alone without them.

    Several processes without a GPU talk by gloo. Parameters that a step leaves unused are allowed: some networks have
    heads that are not trained, and frames without labels teach only a part of a fusion.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Accelerator(
        cpu=several and not (torch.cuda.is_available() or torch.xpu.is_available()),
        mixed_precision="no",  # the trainer's own: see precision.py
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=True),
            InitProcessGroupKwargs(timeout=LONGEST_VALIDATION),
        ],
    )


def is_main_process() -> bool:
    """Whether this process is the one that writes."""
    join_processes()
    return bool(PartialState().is_main_process)


def wait_for_all() -> None:
    """Return when every process has come here."""
    PartialState().wait_for_everyone()


def part_processes() -> None:
    """End what `join_processes` began, once all have come here."""
    wait_for_all()
    join_processes().end_training()


def total_over_processes(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, each of which must call this; itself in a single one."""
    if PartialState().num_processes == 1:
        return values
    total = values.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def variance_over_processes(values: Tensor) -> Tensor:
    """The unbiased variance of all values of all processes, each of which must call this."""
    if PartialState().num_processes == 1:
        return values.var()
    exact = values.detach().double()
    moments = torch.stack([exact.new_tensor(exact.numel()), exact.sum(), exact.square().sum()])
    count, total, squares = total_over_processes(moments).unbind()
    return ((squares - total.square() / count) / (count - 1)).to(values.dtype)
