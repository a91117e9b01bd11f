"""Kernels that are launched while the one before them ends (programmatic dependent launch; Hopper and later).

A kernel launched with `launch.overlapped` may start as soon as programs of the one before begin to end. It must call
`wait_for_last` before it reads or writes anything that another kernel writes or reads; that returns when the one before
has ended and its writes are seen. The trap: the one before has ended only if it, too, has waited, so every kernel of a
chain must wait, whether it needs to or not.

Letting the next one start earlier, from the first line on, was measured in every kernel and was slower: programs that
wait take the room of programs that work. In kernels of few programs (`launch.EARLY`) there is room, and those that wait
have asked for their weights meanwhile.
"""

import triton
import triton.language as tl


@triton.jit
def wait_for_last(OVERLAP: tl.constexpr):
    if OVERLAP:
        tl.extra.cuda.gdc_wait()


@triton.jit
def let_next_start(OVERLAP: tl.constexpr):
    """Once all programs have come here, those of the next kernel start, and run until they wait.

    Nothing can be read too early: waiting is for the end of this kernel, not for this call, and this kernel ends only
    after its own wait. Nothing can lock up: they start after all programs of this one have, so what they wait for runs
    already, and what this one waits for from another device is sent by kernels that came before both.

    The trap: what the next kernel reads before it waits may still be written, by this kernel or by those before it. So
    it may read nothing but weights, and kernels that send must not call this: `_sum_norm_of_sent`, which follows them,
    reads the stream and the number of the turn before it waits.
    """
    if OVERLAP == 2:
        tl.extra.cuda.gdc_launch_dependents()
