"""Gradients summed over the ranks, while the backward pass still computes those of earlier layers.

    last backward pass of a step: gradient ready --> its bucket full --> sum begins, and the pass goes on
    finish: the other buckets, then wait for all

A large gradient is a bucket of its own and summed where it lies; small ones are copied together, for a message costs
more than what is in it. The trap: ranks need not find their gradients in the same order, nor all of them (experts that
nobody chose), but sums must begin in one order everywhere: that of the parameters, backwards. What is missing is zero.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET_BYTES = 32 << 20


@dataclass
class _Bucket:
    """Parameters whose gradients are summed in one message; `missing` of them are not computed yet."""

    parameters: list[nn.Parameter] = field(default_factory=list)
    missing: int = 0
    together: Tensor | None = None
    work: Any = None

    def begin(self) -> None:
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = self._grads()
        alone = len(grads) == 1 and grads[0].is_contiguous()
        self.together = grads[0] if alone else torch.cat([grad.flatten() for grad in grads])
        self.work = dist.all_reduce(self.together, async_op=True)

    def finish(self) -> None:
        assert self.together is not None
        self.work.wait()  # on CUDA the stream waits, not the host
        grads = self._grads()
        if self.together is not grads[0]:
            parts = self.together.split([grad.numel() for grad in grads])
            summed = [part.view_as(grad) for part, grad in zip(parts, grads, strict=True)]
            torch._foreach_copy_(grads, summed)  # pyright: ignore[reportPrivateImportUsage]
        self.together = self.work = None

    def _grads(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


class GradientSums:
    """Of the parameters that learn now; `close` when others do.

    Args:
        parameters: whole on every rank, in the same order on all of them.
        ranks: how many ranks there are; with one there is nothing to do.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], ranks: int) -> None:
        learning = [parameter for parameter in parameters if parameter.requires_grad] if ranks > 1 else []
        self._buckets = list(_fill(reversed(learning)))
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(partial(self._ready, bucket))
            for bucket in self._buckets
            for parameter in bucket.parameters
        ]
        self._armed, self._begun = False, 0

    def expect_last(self) -> None:
        """The backward pass that comes is the last of this step."""
        for bucket in self._buckets:
            bucket.missing = len(bucket.parameters)
        self._armed, self._begun = True, 0

    def finish(self) -> None:
        """Every rank has the sums now."""
        self._armed = False
        for bucket in self._buckets[self._begun :]:
            bucket.begin()
        for bucket in self._buckets:
            bucket.finish()
        self._begun = 0

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _ready(self, bucket: _Bucket, _: Tensor) -> None:
        bucket.missing -= 1
        while self._armed and self._begun < len(self._buckets) and not self._buckets[self._begun].missing:
            self._buckets[self._begun].begin()
            self._begun += 1


def _fill(parameters: Iterable[nn.Parameter]) -> Iterator[_Bucket]:
    """Buckets of parameters in this order, each full or with one parameter more than fits."""
    bucket, used = _Bucket(), 0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if bucket.parameters and used + size > BUCKET_BYTES:
            yield bucket
            bucket, used = _Bucket(), 0
        bucket.parameters.append(parameter)
        used += size
    if bucket.parameters:
        yield bucket
