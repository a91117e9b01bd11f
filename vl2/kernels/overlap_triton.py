"""Kernels that are launched while the one before them ends (programmatic dependent launch; Hopper and later).

A kernel launched with `launch.overlapped` may start as soon as programs of the one before begin to end. It must call
`wait_for_last` before it reads or writes anything that another kernel writes or reads; that returns when the one before
has ended and its writes are seen. The trap: the one before has ended only if it, too, has waited, so every kernel of a
chain must wait, whether it needs to or not.

Letting the next one start earlier, from the first line on, was measured and was slower: programs that wait take the
room of programs that work.
"""

import triton
import triton.language as tl


@triton.jit
def wait_for_last(OVERLAP: tl.constexpr):
    if OVERLAP:
        tl.extra.cuda.gdc_wait()
