"""Sums and gathers over ranks: what two processes exchange, through torch.distributed and through the kernels.

On a CPU the kernels are interpreted, and the memory that both ranks write is a file that both map.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vl2.kernels import launch
from vl2.kernels.experts import experts
from vl2.kernels.linear import linear
from vl2.kernels.norm import add_rms_norm_reference
from vl2.kernels.team import LostRankError, Team, TeamError, join

ROWS, WIDTH, COLUMNS, EPS, ROUNDS = 3, 40, 1100, 1e-5, 3


def given(rank: int, dtype: torch.dtype, turn: int) -> tuple[torch.Tensor, ...]:
    """x and weight, the same on every rank, and this rank's part of a sum and of some columns."""
    same = torch.Generator().manual_seed(turn)
    x_TD, weight_D = (torch.randn(*shape, generator=same).to(dtype) for shape in ((ROWS, WIDTH), (WIDTH,)))
    own = torch.Generator().manual_seed(100 * turn + rank + 1)
    partial_TD, columns_TV = (torch.randn(ROWS, size, generator=own).to(dtype) for size in (WIDTH, COLUMNS))
    return x_TD, weight_D, partial_TD, columns_TV


def parts_of_one(rank: int, dtype: torch.dtype, team: Team | None = None) -> Iterator[torch.Tensor]:
    """Of one token: a rank's part of a product, and of the sum over its experts, computed when it is asked for."""
    own = torch.Generator().manual_seed(rank)
    token_1K, matrix_DK = (torch.randn(size, 24, generator=own).to(dtype) for size in (1, WIDTH))
    yield linear(token_1K, matrix_DK, None if team is None else team.post(token_1K))
    x_1D = torch.randn(1, WIDTH, generator=own).to(dtype)
    gate_up, down = (0.3 * torch.randn(4, *size, generator=own) for size in ((32, WIDTH), (WIDTH, 16)))
    arguments = x_1D, torch.tensor([[0.7, 0.2]]), torch.tensor([[3, 1]]), gate_up.to(dtype), down.to(dtype)
    yield experts(*arguments, post=None if team is None else team.post(x_1D))


def start(script: Path, rank: int, port: int, **more: str) -> subprocess.Popen[bytes]:
    """One of two processes, as torchrun would start it."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    environment = os.environ | {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", **more}
    return subprocess.Popen([sys.executable, str(script), *more.get("ARGUMENTS", "").split()], env=environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def exchange(team: Team, out: Path) -> None:
    """What each process does."""
    results = []
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            for turn in range(ROUNDS):
                x_TD, weight_D, partial_TD, columns_TV = given(team.rank, dtype, turn)
                results += [*team.add_rms_norm(x_TD, partial_TD, weight_D, EPS), team.gather(columns_TV)]
                launch.CONFIGS["down_one"][0][1]["WHOLE"] = 1024 * (
                    turn % 2
                )  # as if experts were wide, and as they are
                for part in parts_of_one(team.rank, dtype, team):  # sent by the kernels that compute them
                    results += team.add_rms_norm(x_TD[:1], part, weight_D, EPS)
    save_file({str(number): one.contiguous() for number, one in enumerate(results)}, out / f"{team.rank}.safetensors")


def wait_in_vain(out: Path) -> None:
    """The other of two ranks sends nothing."""
    from vl2.kernels.team_triton import Mailboxes

    memory = [torch.zeros(Mailboxes.size(2), dtype=torch.int64) for _ in range(2)]
    team = Team(1, 2, Mailboxes.over(1, memory[1], memory))
    try:
        with torch.inference_mode():
            x_TD, weight_D, partial_TD, _ = given(1, torch.float32, 0)
            team.add_rms_norm(x_TD, partial_TD, weight_D, EPS)
    except Exception as error:  # the interpreter's own, around ours
        try:
            team.explain(RuntimeError(str(error)), "step 3")
        except LostRankError as explained:
            assert team.is_lost
            out.write_text(str(explained))


def main(folder: str, kernels: str) -> None:
    if kernels == "nobody":
        wait_in_vain(Path(folder) / "said")
        return
    team = join(torch.device("cpu"))
    assert team is not None
    assert team.least(10 - team.rank) == 9
    if kernels == "kernels":
        from vl2.kernels import team_triton

        size = team_triton.Mailboxes.size(2)
        memory = [
            torch.from_file(f"{folder}/memory{rank}", shared=True, size=size, dtype=torch.int64) for rank in range(2)
        ]
        team = Team(team.rank, 2, team_triton.Mailboxes.over(team.rank, memory[team.rank], memory))
        torch.distributed.barrier()
    exchange(team, Path(folder))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.mark.parametrize("kernels", ["torch", "kernels"])
def test_two_processes(kernels: str, port: int, tmp_path: Path) -> None:
    if kernels == "kernels":
        pytest.importorskip("triton")
        from vl2.kernels.team_triton import Mailboxes

        for rank in range(2):
            with (tmp_path / f"memory{rank}").open("wb") as file:
                file.truncate(Mailboxes.size(2) * 8)
    more = {"ARGUMENTS": f"{tmp_path} {kernels}", "TRITON_INTERPRET": "1" if kernels == "kernels" else "0"}
    running = [start(Path(__file__), rank, port, **more) for rank in range(2)]
    try:
        assert [process.wait(timeout=100) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)  # to the last bit
    expected = []
    for dtype in (torch.float32, torch.bfloat16):
        for turn in range(ROUNDS):
            (x_TD, weight_D, *own), (_, _, *others) = (given(rank, dtype, turn) for rank in range(2))
            delta_TD = (own[0].float() + others[0].float()).to(dtype)
            whole = add_rms_norm_reference(x_TD, delta_TD, weight_D, EPS)
            expected += [*whole, torch.cat([own[1], others[1]], 1).float()]
            for parts in zip(*(parts_of_one(rank, dtype) for rank in range(2)), strict=True):
                delta_TD = (parts[0].float() + parts[1].float()).to(dtype)
                expected += add_rms_norm_reference(x_TD[:1], delta_TD, weight_D, EPS)
    assert len(first) == len(expected)
    for number, wanted in enumerate(expected):
        tolerance = 1e-5 if wanted.dtype == torch.float32 else 4e-2  # the sum may be rounded once more
        torch.testing.assert_close(first[str(number)], wanted, atol=tolerance, rtol=tolerance / 2)


def test_waiting_in_vain_ends(port: int, tmp_path: Path) -> None:
    pytest.importorskip("triton")
    more = {"ARGUMENTS": f"{tmp_path} nobody", "TRITON_INTERPRET": "1", "VL2_PATIENCE": "1"}
    running = start(Path(__file__), 1, port, **more)
    try:
        assert running.wait(timeout=60) == 0
    finally:
        running.kill()
    assert (tmp_path / "said").read_text().startswith("rank 1 of 2 waited in vain for another one in step 3, which")


def test_other_errors_stay_as_they_are() -> None:
    boxes: Any = object()
    team = Team(0, 2, boxes)
    team.explain(RuntimeError("CUDA error: out of memory"), "step 3")
    assert not team.is_lost


def test_alone_there_is_no_team() -> None:
    assert join(torch.device("cpu")) is None


def test_one_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TeamError, match="WORLD_SIZE = 4: a model is divided among processes of one host only"):
        join(torch.device("cpu"))


if __name__ == "__main__":
    main(*sys.argv[1:])
