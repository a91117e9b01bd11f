from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_synth import TINY_SYNTH

from vl2.data.packing import IGNORE_INDEX, PackedBatch, Packer
from vl2.model.moe import RouterStats
from vl2.train.assembly import Assembly, assemble, stage_dataset
from vl2.train.config import read_recipe
from vl2.train.loss import Losses, answer_weights, balance_loss, batch_losses

MIXED = ("stages.0.mixture={line=1, scene=3}", "stages.0.questions_per_image=3", "stages.0.patch_loss_weight=1.0")


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    return assemble(read_recipe("debug", MIXED), TINY_SYNTH, None)


@pytest.fixture(scope="module")
def batch(assembly: Assembly) -> PackedBatch:
    return stage_dataset(assembly, 0)[0]


def test_packed_losses_equal_those_of_each_prompt_alone(assembly: Assembly) -> None:
    """No leak between sequences, labels shifted once, filler without effect."""
    settings = "stages.0.max_prompts=1"
    alone = assemble(read_recipe("debug", (*MIXED, "stages.0.max_prompts=3")), TINY_SYNTH, None)
    packed = stage_dataset(alone, 0)[5]
    together = batch_losses(alone.model, None, packed, background_weight=0.05, static=False)
    single = assemble(read_recipe("debug", (*MIXED, settings)), TINY_SYNTH, None)
    first = stage_dataset(single, 0)[5]  # the same draw, closed after one prompt
    losses = batch_losses(alone.model, None, first, background_weight=0.05, static=False)
    count = losses.text_L.numel()
    assert 0 < count < together.text_L.numel()
    torch.testing.assert_close(together.text_L[:count], losses.text_L, atol=1e-5, rtol=1e-5)


def test_branches_of_a_sequence_equal_prompts_apart(assembly: Assembly) -> None:
    """Three conversations about each image: the same losses and gradients as from three prompts with a copy of it."""
    wide = "stages.0.max_prompts=12", "stages.0.tokens_per_batch=2048", "stages.0.tiles_per_batch=24"
    data = stage_dataset(
        assemble(read_recipe("debug", (*MIXED, *wide, "stages.0.conversations=3")), TINY_SYNTH, None), 0
    )
    rng = np.random.default_rng(0)
    items = [data._draw(rng, rng, keep=False) for _ in range(3)]
    assert max(len(item.prompts) for item in items) == 3
    sizes = {"tile_size": 96, "tile_side": data.config.tile_side, "num_patches": 64, "pad_id": data.pad_id}
    together, apart = Packer(data.budget, **sizes), Packer(replace(data.budget, branching=False), **sizes)
    assert all([together.add(item) for item in items])
    singles = [replace(item, prompt=prompt, others=()) for item in items for prompt in item.prompts]
    assert all([apart.add(item) for item in singles])
    assert together.tokens_left > apart.tokens_left
    found: list[Losses] = []
    gradients: list[list[torch.Tensor | None]] = []
    for batch in (together.finish(), apart.finish()):
        losses = batch_losses(assembly.model, None, batch, background_weight=0.05, answer_exponent=0.5, static=False)
        parameters = [p for p in assembly.model.language.parameters() if p.requires_grad]
        gradients.append(list(torch.autograd.grad(losses.text, parameters, allow_unused=True)))
        found.append(losses)
    assert found[0].text_L.numel() == found[1].text_L.numel() > 20
    torch.testing.assert_close(found[0].text_L, found[1].text_L, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("conversations", [1, 3])
def test_static_shapes_change_nothing(assembly: Assembly, conversations: int) -> None:
    overrides = (*MIXED, f"stages.0.conversations={conversations}")
    batch = stage_dataset(assemble(read_recipe("debug", overrides), TINY_SYNTH, None), 0)[0]
    tight = batch_losses(assembly.model, assembly.patch_head, batch, background_weight=0.05, static=False)
    padded = batch_losses(assembly.model, assembly.patch_head, batch, background_weight=0.05, static=True)
    torch.testing.assert_close(padded.text_L, tight.text_L, atol=1e-5, rtol=1e-5)
    assert torch.equal(padded.expert_counts_GE, tight.expert_counts_GE)


def test_answers_weigh_by_their_length(assembly: Assembly, batch: PackedBatch) -> None:
    lengths = batch.answer_lengths_L
    positions = batch.target_positions_L.tolist()
    own = positions[: int(lengths[0])]
    assert own == list(range(own[0], own[0] + len(own)))  # one answer, unbroken
    assert positions[len(own)] > own[-1] + 1
    assert set(lengths.tolist()) != {1.0}
    plain = batch_losses(assembly.model, None, batch, background_weight=0.05, static=False)
    square = batch_losses(assembly.model, None, batch, background_weight=0.05, answer_exponent=0.5, static=False)
    torch.testing.assert_close(square.text.detach(), (plain.text_L / lengths.sqrt()).sum())
    assert answer_weights(batch, 0.0)[: len(own)].sum() == pytest.approx(1.0)


def test_text_loss_is_the_plain_cross_entropy(assembly: Assembly, batch: PackedBatch) -> None:
    losses = batch_losses(assembly.model, None, batch, background_weight=0.05, static=False)
    assert losses.text_L.numel() == batch.num_targets == int((batch.labels_T != IGNORE_INDEX).sum())
    torch.testing.assert_close(losses.text.detach(), losses.text_L.sum())
    vocabulary = assembly.model.config.language_config.vocab_size
    assert losses.text_L.mean() == pytest.approx(float(torch.tensor(vocabulary).log()), rel=0.1)  # knows nothing yet


def test_balance_loss_against_a_loop_over_prompts(batch: PackedBatch) -> None:
    num_experts, active = 6, 2
    tokens = batch.input_ids_T.numel()
    scores = torch.rand(tokens, num_experts, requires_grad=True)
    indices = scores.topk(active).indices
    loss, counts = balance_loss([RouterStats(1, scores, indices), RouterStats(2, scores, indices)], batch)
    start, terms, total = 0, [], torch.zeros(num_experts)
    for length in batch.sequence_lengths:
        own = slice(start, start + length)
        chosen = F.one_hot(indices[own], num_experts).sum((0, 1)).float()
        probability = (scores[own] / scores[own].sum(-1, keepdim=True)).mean(0)
        terms.append((chosen * num_experts / (length * active) * probability).sum())
        total += chosen
        start += length
    torch.testing.assert_close(loss, 2 * torch.stack(terms).mean())
    assert counts.tolist() == [total.tolist()] * 2
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[:start].abs().sum() > 0
    assert gradient[start:].abs().sum() == 0  # filler does not teach the router


def test_uniform_routing_has_balance_loss_one(batch: PackedBatch) -> None:
    tokens = batch.input_ids_T.numel()
    indices = torch.arange(4).repeat(tokens, 1)
    loss, _ = balance_loss([RouterStats(0, torch.full((tokens, 4), 0.3), indices)], batch)
    assert loss == pytest.approx(1.0)


def test_a_batch_without_tiles(assembly: Assembly, batch: PackedBatch) -> None:
    empty = torch.zeros(0, dtype=torch.long)
    text_only = replace(batch, tiles_NCYX=batch.tiles_NCYX[:0], image_positions_I=empty, image_index_I=empty)
    losses = batch_losses(assembly.model, assembly.patch_head, text_only, background_weight=0.05, static=False)
    assert losses.text.isfinite()
    assert losses.patch == 0
