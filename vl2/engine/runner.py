"""Chunks of a step to chosen tokens: the only part of the engine that touches the model and its tensors.

    few tokens after cached ones     one row each --DecodeGraph--> chosen tokens
    prompts from their start         embeddings --PromptGraph--> chosen tokens
    anything else                    token ids, embeddings of image tokens --> x_TD --model, PagedSequences--> logits
                                     --choose--> chosen tokens

`launch` returns while the device still works; the newest token of every sequence stays there for the next step, so
that nobody has to wait for the host to see it. The trap: everything between two launches must be asked for without
waiting, or the device runs dry.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vl2.engine.decode_graph import DecodeGraph, Rows, unpack_options
from vl2.engine.graphs import Graphs
from vl2.engine.image_encoder import ImageEncoder
from vl2.engine.paged_cache import EXPAND_ABOVE, PagedCache, PagedSequences, by_kind
from vl2.engine.prompt_graph import MOST_TOKENS, PromptGraph, split
from vl2.engine.types import Chunk
from vl2.kernels.choose import choose
from vl2.model.attention import MHA, MLA
from vl2.model.layers import SwiGLU, join
from vl2.model.rope import rope_table
from vl2.model.vl2 import VL2
from vl2.processing.tiling import TiledImage

Chosen = tuple[Tensor, Tensor]  # tokens and logits of all choices of some chunks


@dataclass(frozen=True)
class Step:
    """A step under way.

    chunks: with the number of tokens chosen for each, in the order of the rows.
    tokens: of all choices; on the host, once `ready` has happened.
    logits_SV: of all choices, until the next launch.
    """

    chunks: list[tuple[Chunk, int]]
    tokens: Tensor
    logits_SV: Tensor
    ready: torch.cuda.Event | None

    def wait(self) -> list[int]:
        """The chosen tokens."""
        if self.ready is not None:
            self.ready.synchronize()
        return self.tokens.tolist()


class Runner:
    """A model with its paged cache and its images.

    Args:
        max_running: sequences that may run at a time.
        deterministic: chunks and images go through the model one by one, since a matrix product may round differently
            with its number of rows.
        graphs: whether newest tokens, prompts and tiles are captured once and replayed, where that is possible.
    """

    def __init__(
        self, model: VL2, num_blocks: int, block_size: int, image_cache_bytes: int, max_running: int,
        deterministic: bool = False, graphs: bool = True,
    ) -> None:  # fmt: skip
        self.model, self._deterministic = model, deterministic
        text = model.config.language_config
        if model.device.type == "cuda":
            join_projections(model)
        ranks = model.team.count if model.team else 1
        self.cache = PagedCache(text, num_blocks, block_size, model.device, model.dtype, ranks)
        use_graphs = graphs and model.device.type == "cuda" and not deterministic
        self.images = ImageEncoder(model, image_cache_bytes, deterministic, use_graphs)
        positions = torch.arange(text.max_position_embeddings, device=model.device)
        self._rope = rope_table(text, positions)
        self._newest = torch.zeros(max_running + 1, dtype=torch.long, device=model.device)  # the last is for padding
        self._rows = Rows(max_running, -(-text.max_position_embeddings // block_size), model.device)
        self._graphs = (
            Graphs(),
            Graphs(),
        )  # two, for in a step of both the second must not write over the first's tokens
        self._decode = DecodeGraph(model, self.cache, self._rope, self._newest, self._rows, self._graphs[0])
        self._prompts = PromptGraph(model, self.cache, self._rope, self._newest, self._rows, self._graphs[1])
        self.use_graphs = use_graphs

    @property
    def _has_graphs(self) -> bool:
        """Whether steps may be graphs; references of kernels that do not fit this model would wait for the device."""
        return self.use_graphs and self.cache.has_kernel

    @property
    def num_replays(self) -> int:
        return sum(graphs.num_replays for graphs in self._graphs)

    @torch.inference_mode()
    def prepare(self, step_tokens: int) -> None:
        """Capture all graphs that steps of at most so many tokens may need."""
        if not self._has_graphs:
            return
        self._decode.prepare(len(self._newest) - 1)
        self._prompts.prepare(step_tokens)
        self.images.prepare()

    @torch.inference_mode()
    def launch(self, chunks: Sequence[Chunk]) -> Step:
        """Start computing the chunks; what they choose is known once the step is waited for."""
        chunks = by_kind(chunks)
        choices = [(chunk, chunk.num_choices) for chunk in chunks]
        parts = [compute(some) for compute, some in self._ways(chunks)]
        tokens, logits_SV = (
            parts[0] if len(parts) == 1 else (torch.cat(of_parts) for of_parts in zip(*parts, strict=True))
        )
        if tokens.device.type != "cuda":
            return Step(choices, tokens, logits_SV, None)
        on_host = torch.empty(len(tokens), dtype=tokens.dtype, pin_memory=True).copy_(tokens, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record()
        return Step(choices, on_host, logits_SV, ready)

    def _ways(self, chunks: list[Chunk]) -> list[tuple[Callable[[list[Chunk]], Chosen], list[Chunk]]]:
        """How to compute which chunks, in their order.

        Where there are graphs, prompts have one of their own: together with newest tokens they would read the weights
        only once, but no graph fits, and launches cost more.
        """
        if self._deterministic:
            return [(self._run, [chunk]) for chunk in chunks]
        if not self._has_graphs:
            return [(self._run, chunks)]
        num_few = next((number for number, chunk in enumerate(chunks) if not _is_few(chunk)), len(chunks))
        num_old = next((number for number, chunk in enumerate(chunks) if not chunk.start), len(chunks))
        few, many, fresh = chunks[:num_few], chunks[num_few:num_old], chunks[num_old:]
        if sum(chunk.count for chunk in few) > self._decode.most:
            few, many = [], few + many
        if any(chunk.count > MOST_TOKENS for chunk in fresh):
            many, fresh = many + fresh, []
        ways = (self._replay, few), (self._run, many), *((self._prompt, some) for some in split(fresh))
        return [(compute, some) for compute, some in ways if some]

    def _prompt(self, chunks: list[Chunk]) -> Chosen:
        return self._prompts.replay(self._embed(chunks), chunks)

    def _replay(self, chunks: list[Chunk]) -> Chosen:
        count = sum(chunk.count for chunk in chunks)
        rows = self._rows.fill(chunks, self._decode.size_for(count))
        tokens, logits_SV = self._decode.replay(rows)
        if all(chunk.num_choices == chunk.count for chunk in chunks):
            return tokens[:count], logits_SV[:count]
        chosen = self._to_device(_choice_rows(chunks))
        return tokens[chosen], logits_SV[chosen]

    def _embed(self, chunks: Sequence[Chunk]) -> Tensor:
        """Embeddings (T, D) of all tokens of the chunks."""
        ids_T = self._to_device([token for chunk in chunks for token in chunk.tokens])
        ends = itertools.accumulate(chunk.count for chunk in chunks)
        unknown = [(end - 1, chunk.sequence.slot) for chunk, end in zip(chunks, ends, strict=True) if chunk.is_unknown]
        if unknown:
            rows, slots = (self._to_device(numbers) for numbers in zip(*unknown, strict=True))
            ids_T[rows] = self._newest[slots]
        x_TD = self.model.language.embed_tokens(ids_T)
        self._put_images(x_TD, chunks)
        return x_TD

    def _run(self, chunks: list[Chunk]) -> Chosen:
        x_TD = self._embed(chunks)
        context = PagedSequences(self.cache, chunks)
        hidden_TD, _ = self.model(x_TD, context.positions_T, context, self._rope.at(context.positions_T))
        logits_SV = self.model.logits(hidden_TD[self._to_device(_choice_rows(chunks))])
        return self._choose(chunks, logits_SV), logits_SV

    def _choose(self, chunks: list[Chunk], logits_SV: Tensor) -> Tensor:
        """Tokens of all choices; the last of each chunk becomes its sequence's newest."""
        chosen = [chunk for chunk in chunks for _ in range(chunk.num_choices)]
        if not chosen:
            return torch.empty(0, dtype=torch.long, device=logits_SV.device)
        numbers = [number for chunk in chunks for number in range(chunk.num_choices)]
        options = self._rows.options(chosen, numbers).to(logits_SV.device, non_blocking=True)
        tokens = choose(logits_SV, *unpack_options(options))
        ending = [chunk for chunk in chunks if chunk.num_choices]
        last = (np.cumsum([chunk.num_choices for chunk in ending]) - 1).tolist()
        slots = self._to_device([chunk.sequence.slot for chunk in ending])
        self._newest[slots] = tokens[self._to_device(last)]
        return tokens

    def _to_device(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long).to(self.model.device, non_blocking=True)

    def _put_images(self, x_TD: Tensor, chunks: Sequence[Chunk]) -> None:
        """Write the embeddings of image tokens over their placeholders."""
        places: list[tuple[int, int, int, bytes]] = []  # row of x, first and last of the image's tokens, image
        needed: dict[bytes, TiledImage] = {}
        row = 0
        for chunk in chunks:
            sequence, end = chunk.sequence, chunk.start + chunk.count
            images = zip(sequence.prompt.spans, sequence.prompt.images, sequence.digests, strict=True)
            for (first, length), image, key in images:
                low, high = max(first, chunk.start), min(first + length, end)
                if low < high:
                    places.append((row + low - chunk.start, low - first, high - first, key))
                    needed[key] = image
            row += chunk.count
        embeds = self.images.embed(needed)
        for start, low, high, key in places:
            x_TD[start : start + high - low] = embeds[key][low:high]


def join_projections(model: VL2) -> None:
    """Lay weights that multiply the same tokens side by side, so that one product does for all. Moves, not copies."""
    for module in model.modules():
        if isinstance(module, MHA) and module.q_proj.bias is None:
            join(module.q_proj, module.k_proj, module.v_proj)
        elif isinstance(module, MLA) and module.kv_a_proj_with_mqa.bias is None:
            join(module.q_proj if module.q_rank is None else module.q_a_proj, module.kv_a_proj_with_mqa)
        elif isinstance(module, SwiGLU):
            join(module.gate_proj, module.up_proj)


def _choice_rows(chunks: Sequence[Chunk]) -> list[int]:
    """Rows of the step whose logits are asked for."""
    ends = np.cumsum([chunk.count for chunk in chunks]).tolist()
    return [row for chunk, end in zip(chunks, ends, strict=True) for row in range(end - chunk.num_choices, end)]


def _is_few(chunk: Chunk) -> bool:
    """Whether it is a few tokens after cached ones, none of them an image's."""
    end = chunk.start + chunk.count
    has_image = any(first < end and chunk.start < first + length for first, length in chunk.sequence.prompt.spans)
    return bool(chunk.start) and chunk.count <= EXPAND_ABOVE and not has_image
