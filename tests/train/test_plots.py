import json
from pathlib import Path

import pytest
from PIL import Image

from vl2.train.display import PlainDisplay, summary
from vl2.train.metrics import METRICS_NAME, MetricsLog, read_metrics
from vl2.train.plots import PlotError, _loss, draw_plots

LINE = {
    "stage": "s", "learning_rate": 1e-3, "loss": 2.0, "task_loss": {"line": 2.5, "form": 1.0}, "patch_loss": 0.5,
    "box_loss": 0.7, "grad_norm": 1.0, "tokens_per_sec": 1e4, "tiles_per_sec": 9.0, "data_wait": 0.25,
    "skipped": 0, "dropped": 2, "dead_experts": 3,
    "expert_load": [[1.0, 1.2, 0.8], [0.5, 1.5, 1.0]], "load_max_over_mean": 1.5,
}  # fmt: skip


def write(folder: Path, lines: list[dict]) -> None:
    (folder / METRICS_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_plots_are_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write(tmp_path, [{"step": step, **LINE} for step in (10, 20)] + [{"step": 30, **LINE, "patch_loss": None}])
    drawn = draw_plots(tmp_path, tmp_path / "plots")
    assert [path.name for path in drawn] == ["loss.png", "learning_rate.png", "expert_load.png"]
    for path in drawn:
        colours = Image.open(path).convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 20


def test_many_tasks_have_a_panel_for_each_first_word() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    tasks = ["line", "line-zh", "line-photo", "form", "form-zh", "count", "page", "page-zh", "chart"]

    def panels(names: list[str]) -> dict[str, list[str]]:
        figure = _loss(pyplot, [{"step": step, **LINE, "task_loss": dict.fromkeys(names, 1.0)} for step in (10, 20)])
        drawn = [axes for axes in figure.axes if axes.axison]
        shown = {axes.get_title(): [str(line.get_label()) for line in axes.lines] for axes in drawn}
        pyplot.close(figure)
        return shown

    few = panels(tasks[:8])
    assert few == {"all": ["text", "patches"], "tasks": sorted(tasks[:8])}
    assert panels([*tasks, "all-zh", "all"])["all"] == ["all", "all-zh"]  # the first panel of that title is not theirs
    many = panels(tasks)
    assert many["line"] == ["line", "line-photo", "line-zh"]
    assert many["count"] == ["count"]
    assert set(many) == {"all", "line", "form", "count", "page", "chart"}


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(PlotError, match="no metrics"):
        draw_plots(tmp_path)


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, [{"step": 1}])
    with (tmp_path / METRICS_NAME).open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "lo')
    assert read_metrics(tmp_path) == [{"step": 1}]
    log = MetricsLog(tmp_path, 1)
    log.write({"step": 2})
    log.close()
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2}]


def test_plain_progress_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    PlainDisplay().show({"step": 10, **LINE}, 100)
    out = capsys.readouterr().out
    assert out.startswith("step 10/100 stage s loss 2.0000 patch 0.5000 box 0.7000 lr 1.00e-03")
    assert "data wait 25%" in out
    assert "line=2.500 form=1.000" in out
    assert out.count("\n") == 1
    assert "dropped" in summary({"step": 10, **LINE})
    assert summary({"step": 10, **LINE})["dead experts"] == "3"
