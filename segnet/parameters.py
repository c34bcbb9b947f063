"""Parameters in groups that are trained alike, so that a trainer need not know a network's insides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from torch import nn

Named = Iterable[tuple[str, nn.Parameter]]


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters that are trained alike.

    `name` says what they are part of: "encoder" (what ImageNet weights initialise), "decoder" (all the rest of a
    network), "auxiliary" (heads of deep supervision), "low branch" and "fusion" (of an AR branch); a trainer may give
    each of them a learning rate of its own. `rate` is the learning rate relative to the encoder's in the published
    recipe, and 1 where the recipe has no such thing. Weight decay is for `decayed` groups only; a name may come twice,
    decayed and not. `parameters` go by their names in the module that was asked; frozen ones are among them.
    """

    name: str
    parameters: Mapping[str, nn.Parameter]
    rate: float = 1.0
    decayed: bool = True

    def within(self, prefix: str) -> ParameterGroup:
        """The group as a module sees it whose submodule `prefix` was asked."""
        return replace(self, parameters={f"{prefix}.{key}": value for key, value in self.parameters.items()})


def is_matrix(_name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is the weight of a convolution or linear map: neither a norm's nor a bias."""
    return parameter.ndim > 1


def grouped(
    name: str, parameters: Named, *, rate: float = 1.0, decayed: Callable[[str, nn.Parameter], bool] = is_matrix
) -> list[ParameterGroup]:
    """Named parameters as one or two groups: those that weight decay is for, and the others."""
    kinds: dict[bool, dict[str, nn.Parameter]] = {True: {}, False: {}}
    for key, parameter in parameters:
        kinds[decayed(key, parameter)][key] = parameter
    return [ParameterGroup(name, found, rate, kind) for kind, found in kinds.items() if found]


def head_groups(heads: nn.Module, network: nn.Module) -> list[ParameterGroup]:
    """Group "auxiliary": what auxiliary heads have of parameters that are not the network's own.

    Named as in a module whose submodule `heads` they are.
    """
    own = {id(parameter) for parameter in network.parameters()}
    return grouped("auxiliary", [(k, v) for k, v in heads.named_parameters("heads") if id(v) not in own])


def parameter_groups(module: nn.Module) -> list[ParameterGroup]:
    """What `module.parameter_groups()` says, or where it has no such method all its parameters under the name "all".

    Every parameter is in exactly one group.
    """
    own: Callable[[], list[ParameterGroup]] | None = getattr(module, "parameter_groups", None)
    return grouped("all", module.named_parameters()) if own is None else own()
