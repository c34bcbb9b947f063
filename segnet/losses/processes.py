"""What several processes of one training have in common."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_over_processes(count: Tensor) -> Tensor:
    """A count, averaged over the processes of a distributed training, each of which must call this; itself in one.

    A loss that is a sum over known pixels divides by it: the mean of the processes' gradients, which is what
    data-parallel training steps along, is then the gradient of the mean over the pixels of all.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return count
    mean = count.detach().float().clone()
    torch.distributed.all_reduce(mean)
    return mean / torch.distributed.get_world_size()
