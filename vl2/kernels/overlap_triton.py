"""Kernels that begin while the one before them ends (programmatic dependent launch; Hopper and later).

A kernel launched with `launch.overlapped` may start as soon as every program of the one before has called
`let_next_start` or ended. It must call `wait_for_last` before it reads or writes anything that another kernel writes
or reads; that returns when the one before has ended and its writes are seen. The trap: the one before has ended only
if it, too, has waited, so every kernel of a chain must wait, whether it needs to or not.
"""

import triton
import triton.language as tl


@triton.jit
def let_next_start(OVERLAP: tl.constexpr):
    if OVERLAP:
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def wait_for_last(OVERLAP: tl.constexpr):
    if OVERLAP:
        tl.extra.cuda.gdc_wait()
