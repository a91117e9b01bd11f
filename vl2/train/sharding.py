"""Weights divided among ranks: each keeps a part, and whole layers exist only while they compute.

    mesh of ranks      copies x outer x experts, where shard = outer * experts
    layer, tower block rows of every matrix over `shard` ranks (FSDP2), gathered for the layer's turn
    routed experts     E / experts of them on each rank, their rows over `outer`; tokens travel   (expert_exchange.py)
    the rest           norms, routers, edges of images, patch head: whole on every rank, gradients summed as ever

The optimizer never meets a DTensor: it keeps the rank's own part of each parameter, which shares its storage.
The traps: gradients are summed, never averaged, since every loss is already divided by counts over all ranks. A layer
that one rank skips would leave the others waiting, so tiles go through the tower even where they are all filler.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from vl2.config import VL2Config
from vl2.model.moe import MoE, RoutedExperts
from vl2.model.vl2 import VL2
from vl2.model.weights import parameter_slots
from vl2.section import ConfigError
from vl2.train.config import ParallelSection
from vl2.train.expert_exchange import DividedExperts
from vl2.train.gradient_sums import GradientSums
from vl2.train.ranks import Ranks

T = TypeVar("T")
_DIVIDED = (nn.Linear, nn.Conv2d, nn.Embedding, RoutedExperts, DividedExperts)  # modules whose parameters are divided


class _Root(nn.Module):
    """Around the model, so that a whole step is one call: FSDP gathers and frees what that call needs."""

    def __init__(self, model: VL2) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[..., Any], *args: Any, **settings: Any) -> tuple[Any, ...]:
        """What `compute` gives, as a tuple of its fields: FSDP looks for tensors with gradients among these."""
        result = compute(self.model, *args, **settings)
        self.kind = type(result)
        return tuple(vars(result).values())


def call(compute: Callable[..., T], model: VL2, *args: Any, **settings: Any) -> T:
    """`compute(model, *args, **settings)`, a dataclass, of a model that may be divided."""
    root = model.__dict__.get("root")
    if root is None:
        return compute(model, *args, **settings)
    fields = root(compute, *args, **settings)
    return root.kind(*fields)


@dataclass(frozen=True)
class Sharding:
    """How weights lie on the ranks. One for each run; `divide` makes the model."""

    layers: DeviceMesh  # copies x shard
    stacks: DeviceMesh  # copies x outer x experts, of the same ranks
    device: torch.device

    @classmethod
    def of(cls, section: ParallelSection, ranks: Ranks, device: torch.device) -> "Sharding | None":
        """None where every rank holds the whole model. Raises ConfigError."""
        if ranks.count % section.shard:
            raise ConfigError(
                f"parallel.shard = {section.shard}: must divide the {ranks.count} ranks of this run; start them with "
                "torchrun --nproc-per-node"
            )
        if section.shard == 1:
            return None
        copies, outer = ranks.count // section.shard, section.shard // section.experts
        layers = init_device_mesh(device.type, (copies, section.shard), mesh_dim_names=("copies", "shard"))
        sizes = copies, outer, section.experts
        stacks = init_device_mesh(device.type, sizes, mesh_dim_names=("copies", "outer", "experts"))
        return cls(layers, stacks, device)

    def divide(self, config: VL2Config, tensors: Iterable[tuple[str, Tensor]], *, bfloat16: bool) -> VL2:
        """A model of which every rank has its part.

        Args:
            tensors: name and value of every parameter, one after the other: no rank ever holds them all.
            bfloat16: gather matrices in bfloat16, in which they are multiplied.

        Raises: ConfigError.
        """
        experts = self.stacks["experts"]
        number = config.language_config.n_routed_experts or 0
        if number % experts.size():
            raise ConfigError(f"parallel.experts = {experts.size()}: must divide the model's {number} routed experts")
        with torch.device("meta"):
            model = VL2(config)
            if experts.size() > 1:
                for module in model.modules():
                    if isinstance(module, MoE):
                        module.experts = DividedExperts(module.experts, experts.get_group())  # type: ignore[assignment]
        self._wrap(model, bfloat16)
        root: _Root = model.__dict__["root"]
        root.to_empty(device=self.device)
        ours = dict(model.named_parameters())
        for name, tensor in tensors:
            own_part(ours[name]).detach().copy_(self.part(name, ours[name], tensor.detach()))
        return model

    def _wrap(self, model: VL2, bfloat16: bool) -> None:
        never_run = set(model.vision.attn_pool.modules())
        divided = {
            id(parameter)
            for module in model.modules()
            if isinstance(module, _DIVIDED) and module not in never_run
            for parameter in module.parameters(recurse=False)
        }
        whole = {parameter for parameter in model.parameters() if id(parameter) not in divided}
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")  # nothing changes it
        halves = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        policy = halves if bfloat16 else MixedPrecisionPolicy(cast_forward_inputs=False)
        mesh, outer = _used(self.layers, "shard"), _used(self.stacks, "outer")
        for module in model.modules():
            if isinstance(module, DividedExperts):  # before the layers that hold them, whose ranks are others
                fully_shard(module, mesh=outer, mp_policy=policy)
        units = [model.vision.patch_embed, *model.vision.blocks, model.projector, *model.language.layers]
        for unit in units:
            fully_shard(unit, mesh=mesh, mp_policy=policy, ignored_params=whole)
        for unit, following in pairwise(units):  # the host may be no step ahead: experts of other ranks make it wait
            unit.set_modules_to_forward_prefetch([following])  # pyright: ignore[reportAttributeAccessIssue]
        root = _Root(model)  # embedding and head: float32, and gathered for the whole step
        fully_shard(root, mesh=mesh, mp_policy=MixedPrecisionPolicy(), ignored_params=whole)
        for module in root.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)  # gloo cannot scale while it sums
        model.__dict__["root"] = root  # not a child: the root holds the model

    def part(self, name: str, parameter: Tensor, value: Tensor) -> Tensor:
        """What lies on this rank of something that lies as the parameter does, given all of it."""
        if _is_expert(name) and (experts := self.stacks["experts"]).size() > 1:
            value = value.chunk(experts.size())[experts.get_local_rank()]
        if isinstance(parameter, DTensor):
            parts, own = value.chunk(parameter.device_mesh.size(-1)), parameter.device_mesh.get_local_rank(-1)
            value = parts[own] if own < len(parts) else value[:0]
        return value

    def whole(self, name: str, parameter: Tensor, part: Tensor) -> Tensor:
        """The whole of something of which every rank has a part that lies like its part of the parameter.

        Every rank must ask for the same things in the same order.
        """
        if isinstance(parameter, DTensor):
            like = {"shape": parameter.shape, "stride": parameter.stride()}
            part = DTensor.from_local(part, parameter.device_mesh, parameter.placements, **like).full_tensor()
        if _is_expert(name) and (experts := self.stacks["experts"]).size() > 1:
            parts = [torch.empty_like(part) for _ in range(experts.size())]
            dist.all_gather(parts, part.contiguous(), group=experts.get_group())
            part = torch.cat(parts)
        return part

    def total(self, tensor: Tensor) -> Tensor:
        """Summed over the ranks that hold one copy of the weights between them, in place."""
        dist.all_reduce(tensor, group=self.layers["shard"].get_group())
        return tensor


def _used(mesh: DeviceMesh, name: str) -> DeviceMesh:
    """The dimension along which parameters are divided, after that of the copies if there are several."""
    return mesh["copies", name] if mesh["copies"].size() > 1 else mesh[name]


def _is_expert(name: str) -> bool:
    return ".experts." in name


def own_part(parameter: nn.Parameter) -> nn.Parameter:
    """What this rank has of a parameter, as a plain parameter that an optimizer can keep; the whole, if not divided."""
    if not isinstance(parameter, DTensor):
        return parameter
    kept = vars(parameter)
    if "own_part" not in kept:
        kept["own_part"] = nn.Parameter(parameter.to_local().detach())
    return kept["own_part"]


def take_gradients(model: nn.Module) -> None:
    """Hand the gradients of divided parameters to the parts that the optimizer keeps."""
    for parameter in model.parameters():
        if isinstance(parameter, DTensor):
            grad, parameter.grad = parameter.grad, None
            own_part(parameter).grad = grad.to_local() if isinstance(grad, DTensor) else None


def gradient_sums(model: VL2, patch_head: nn.Module | None, ranks: Ranks) -> GradientSums:
    """Of the parameters that learn now and that every rank has whole."""
    after_the_tower = patch_head.parameters() if patch_head else ()  # their gradients are among the last
    every = (*after_the_tower, *model.parameters())
    return GradientSums([parameter for parameter in every if not isinstance(parameter, DTensor)], ranks.count)


def sum_and_clip(
    model: VL2, parameters: Sequence[nn.Parameter], limit: float, sums: GradientSums, sharding: Sharding | None
) -> Tensor:
    """Sum gradients over the ranks, shorten them to a norm of at most `limit`; () their norm, the same on all ranks.

    Args:
        parameters: what the optimizer keeps.
        sums: of those that are whole on every rank.
    """
    if sharding is None:
        sums.finish()
        return nn.utils.clip_grad_norm_(parameters, limit)
    divided = {own_part(parameter) for parameter in model.parameters() if isinstance(parameter, DTensor)}
    take_gradients(model)
    sums.finish()
    parts = [p.grad for p in parameters if p.grad is not None and p in divided]
    squares = sharding.total(_square_sum(parts, sharding.device))
    others = [p.grad for p in parameters if p.grad is not None and p not in divided]
    norm = (squares + _square_sum(others, sharding.device)).sqrt()
    factor = (limit / (norm + 1e-6)).clamp_max(1.0)
    torch._foreach_mul_(parts + others, factor)  # pyright: ignore[reportPrivateImportUsage]
    return norm


def _square_sum(grads: list[Tensor], device: torch.device) -> Tensor:
    """() float32 sum of all squares."""
    if not grads:
        return torch.zeros((), device=device)
    norms = torch._foreach_norm(grads, 2, torch.float32)  # pyright: ignore[reportPrivateImportUsage]
    return torch.stack(norms).square().sum()


def whole_tensors(model: VL2, sharding: Sharding) -> Iterator[tuple[str, Tensor]]:
    """As `write_weights` takes them: every parameter, gathered only when it is asked for. All ranks must ask."""
    ours: Mapping[str, nn.Parameter] = dict(model.named_parameters())
    for name in parameter_slots(model.config):
        yield name, sharding.whole(name, ours[name], own_part(ours[name]).detach())
