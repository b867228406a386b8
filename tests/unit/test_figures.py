"""Figures: they show the numbers of their tables, and models can be told apart."""

import json
import runpy
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import results_tables as tables
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from fofg.config import Figures
from fofg.data.files import write_parquet
from fofg.data.schemas import ACCURACY, FAILURE_SHARES, PASSK, SPLIT_ACCURACY
from fofg.errors import UserError
from fofg.evaluation.accuracy import wilson
from fofg.report import labels, style
from fofg.report.figures import (
    accuracy_by_level,
    accuracy_by_split,
    countdown_accuracy,
    exposure,
    failures,
    learning_curves,
    pass_at_k,
    stage1_accuracy,
    stage1_selection,
    stage1_training,
    training_dynamics,
)
from fofg.report.style import plt

PLOT = str(Path(__file__).parents[2] / "workflow/scripts/plot.py")
OWN = ["stage2-rl-mixed", "stage2-rl-level3", "stage2-rl-slow_start"]
#: Without the tables that other figures draw.
DYNAMICS = SimpleNamespace(plot=lambda table, *files: training_dynamics.plot(*files[len(tables.ITERATIONS) :]))
CLASSES = [f"class_{number}" for number in range(7)]


@pytest.fixture(autouse=True)
def closed():
    style.apply(Figures(formats=["svg"], dpi=50, font_size=10, published=True))
    yield
    plt.close("all")


@pytest.fixture
def draw(tmp_path):
    """Draw a figure from rows of its table, and records of runs."""

    def figure(module, schema, rows, **runs) -> plt.Figure:
        write_parquet(tmp_path / "table.parquet", schema, [rows])
        selections = [tables.write_selection(tmp_path, model) for model in tables.ITERATIONS] if runs else []
        metrics = [tables.write_metrics(tmp_path, name, run) for name, run in runs.items()]
        return module.plot(tmp_path / "table.parquet", *selections, *metrics)

    return figure


def lines(axes) -> dict[str, list[float]]:
    """Return the heights of each curve by its label."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines if not line.get_label().startswith("_")}


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def lightness(color: str) -> float:
    red, green, blue = to_rgb(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# --- labels and looks -----------------------------------------------------------------------------------------------


@given(st.sets(st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), max_size=18))
def test_models_look_different_whatever_the_curricula_are_called(curricula):
    models = [*tables.MODELS, *(f"stage2-rl-{name}" for name in curricula)]
    looks = style.looks(models)
    assert len(set(looks.values())) == len(set(models))
    for first, second in combinations(set(models), 2):
        one, other = looks[first], looks[second]
        if abs(lightness(one.color) - lightness(other.color)) < 0.1 and -1 in map(labels.iteration, (first, second)):
            assert (one.marker, one.line) != (other.marker, other.line), (first, second)


@pytest.mark.parametrize("model", [*tables.CURRICULA, *OWN])
def test_a_model_looks_the_same_in_every_figure(model):
    others = [name for name in [*tables.MODELS, *OWN] if name != model]
    assert style.looks([model])[model] == style.looks([*others, model])[model]


# --- what figures show ----------------------------------------------------------------------------------------------


def test_accuracy_by_level_shows_each_models_accuracy_and_interval(draw):
    rows = tables.accuracy()
    figure = draw(accuracy_by_level, ACCURACY, rows)
    sampled, greedy = figure.axes
    assert list(lines(sampled)) == ["base", "Stage 1", "RFT, 3 iterations", "RL on Level 1", "RL on Level 2", "RL on Levels 1+2"]
    assert lines(greedy)["RL on Level 2"] == pytest.approx([7 / 10**level for level in range(1, 3)])
    assert "Problems per level; bars are 95% intervals. Levels 3–8 left out: no model above 0.8%." in texts(figure)
    assert "sampled: 64 problems × 2 responses" in texts(figure)
    hollow = {line.get_marker(): list(line.get_ydata()) for line in sampled.lines if line.get_markerfacecolor() == "none"}
    assert hollow["v"] == [0.64] and hollow["^"] == [0.15], "the paper's points of RL on Level 2 and of RFT"
    style.apply(Figures(formats=["svg"], dpi=50, font_size=10, published=False))
    assert all(line.get_markerfacecolor() != "none" for axes in draw(accuracy_by_level, ACCURACY, rows).axes for line in axes.lines)
    ends = sampled.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert list(ends) == pytest.approx([rows[0]["low"], rows[0]["high"]])


def test_accuracy_by_split_has_a_panel_per_split(draw):
    rows = [{"split": split} | row for split in ("seen pairs", "new pairs") for row in tables.accuracy(decodings=["sampled"])]
    figure = draw(accuracy_by_split, SPLIT_ACCURACY, rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"{split}: 64 problems × 2 responses" for split in ("seen pairs", "new pairs")
    ]
    assert all(lines(axes)["Stage 1"] == pytest.approx([0.2, 0.02]) for axes in figure.axes)


def test_countdown_accuracy_shows_every_model_by_its_base(draw):
    models = ["multi-base", "multi-base-rl-level1", "multi-base-rl-level1to2", "stage2-rl-level1to2"]
    (axes,) = draw(countdown_accuracy, ACCURACY, tables.accuracy(models, range(3, 6), ["sampled"])).axes
    assert list(lines(axes)) == [labels.transfer_label(model) for model in models]
    assert lines(axes)["multi-base + RL on Levels 1+2"] == pytest.approx([3 / 10**level for level in range(3, 5)])
    assert len({(look.color, look.marker) for look in style.looks(models).values()}) == 4


def test_pass_at_k_has_a_panel_per_level_and_a_band_per_model(draw):
    rows = tables.passk(levels=(1, 2, 3, 5))
    figure = draw(pass_at_k, PASSK, rows)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left").splitlines()[0] for axes in shown] == ["Level 1", "Level 2", "Level 3", "Level 5"]
    level2 = shown[1]
    assert lines(level2)["Stage 1"] == pytest.approx([1 - 0.5**k for k in (1, 2, 4, 8, 16, 32, 64)])
    assert level2.get_xscale() == "log" and level2.xaxis.get_transform().base == 2
    mine = [row for row in rows if row["model"] == "base" and row["level"] == 2]
    (low, high) = level2.collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((min(row["low"] for row in mine), max(row["high"] for row in mine)))


def test_failure_bars_add_up_to_one(draw):
    figure = draw(failures, FAILURE_SHARES, tables.failures(CLASSES))
    panel = figure.axes[1]
    assert panel.get_title(loc="left") == "Level 3"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [labels.label(model) for model in tables.MODELS]
    for number in range(len(tables.MODELS)):
        widths = [container.patches[number].get_width() for container in panel.containers]
        assert widths[0] == number / 64 and widths[3] == (64 - number) / 64
        assert sum(widths) == pytest.approx(1)


def test_learning_curves_show_all_curricula_and_iterations_by_rollouts(draw):
    runs = {model: tables.metrics(levels, phases=2) for model, levels in zip(tables.CURRICULA, ((1,), (2,), (1, 2)))}
    figure = draw(learning_curves, ACCURACY, tables.accuracy(), **runs)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [
        f"Level {level}" for level in (1, 2, 3, 4)
    ]
    level1 = figure.axes[0]
    curves = [line for line in level1.lines if len(line.get_xdata()) == 4 and line.get_marker() == "None"]
    *validated, rft = curves
    # Eight responses per prompt; 32 prompts in each of six steps, counted from zero again in the second phase.
    assert all(list(line.get_xdata()) == [0, 512, 1024, 1536] for line in validated) and len(validated) == 3
    assert list(validated[0].get_ydata()) == pytest.approx([step / 8 for step in (0, 2, 4, 6)])
    assert list(rft.get_xdata()) == [0, 2000, 4000, 6000] and list(rft.get_ydata()) == pytest.approx([0.2, 0.3, 0.4, 0.5])
    low, high = wilson(0.25, 32)
    band = next(part for part in level1.collections if isinstance(part, PolyCollection)).get_paths()[0].vertices
    assert {round(y, 6) for x, y in band if x == 512} == {round(low, 6), round(high, 6)}
    note = "Curves: validation while RL trains, 32 problems per level. Points: the evaluation, 64 problems × 2 responses per level"
    assert any(note in text.replace("\n", " ") for text in texts(figure))


def test_training_dynamics_show_every_recorded_metric(tmp_path):
    runs = {model: tables.metrics(levels, phases=2) for model, levels in zip(tables.CURRICULA, ((1,), (2,), (1, 2)))}
    figure = training_dynamics.plot(*(tables.write_metrics(tmp_path, model, run) for model, run in runs.items()))
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == [title for name, title in training_dynamics.PANELS.items() if name != "kl"]
    assert all(list(lines(axes)) == ["RL on Level 1", "RL on Level 2", "RL on Levels 1+2"] for axes in panels.values())
    assert lines(panels["groups kept, of those drawn"])["RL on Level 1"] == [0, *[20 / 32] * 5]
    assert [line.get_xdata()[0] for line in panels["mean reward"].lines if line.get_linestyle() == ":"] == [3.5] * 3
    assert "no token was clipped" in texts(figure)


def test_exposure_shows_relative_calls_with_training_files_first(tmp_path):
    files = [
        tables.description("evaluated", test={"func_10": 4, "func_2": 0}),
        tables.description("one", train={"func_10": 30, "func_2": 10, "func_7": 20}, test={"func_2": 1, "func_10": 1, "func_7": 0}),
    ]
    for number, described in enumerate(files):
        (tmp_path / f"{number}.json").write_text(json.dumps(described))
    figure = exposure.plot(tmp_path / "0.json", tmp_path / "1.json")
    axes = figure.axes[0]
    headings = [label.get_text() for label in axes.get_xticklabels()]
    assert headings == ["one\ntrain, 60", "evaluated\ntest, 4", "one\ntest, 2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ffunc_10  func_10", "ffunc_2  func_2", "ffunc_7  func_7"]
    shown = axes.images[0].get_array()
    assert shown[:, 0].tolist() == [1.5, 0.5, 1.0]
    assert shown.mask.tolist() == [[False, False, False], [False, True, False], [False, True, True]]


@pytest.mark.parametrize("trained", [0, 3])
def test_stage_1_accuracy_shows_the_share_of_training_problems(tmp_path, trained):
    rows = [row | {"definitions": "hidden", "trained": trained} for row in tables.accuracy(["base", "stage1-rft"], [1], ["greedy"])]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    figure = stage1_accuracy.plot(tmp_path / "a.csv")
    assert ("definitions hidden\n64 problems\n3 of 64 in training" in texts(figure)) is bool(trained)
    assert [bar.get_height() for bars in figure.axes[0].containers[::2] for bar in bars] == pytest.approx([0.1, 0.2])


def many_models(draw) -> dict:
    models = [*tables.MODELS, *OWN]
    runs = {model: tables.metrics() for model in [*tables.CURRICULA, *OWN]}
    return {
        "accuracy": lambda: draw(accuracy_by_level, ACCURACY, tables.accuracy(models)),
        "transfer": lambda: draw(countdown_accuracy, ACCURACY, tables.accuracy(["multi-base", *models[-1:]], [3], ["sampled"])),
        "accuracy of one level": lambda: draw(accuracy_by_level, ACCURACY, tables.accuracy(models, [2], ["sampled"])),
        "pass@k": lambda: draw(pass_at_k, PASSK, tables.passk([*tables.CURRICULA, *OWN])),
        "failures": lambda: draw(failures, FAILURE_SHARES, tables.failures(CLASSES, models)),
        "learning": lambda: draw(learning_curves, ACCURACY, tables.accuracy(models), **runs),
        "dynamics": lambda: draw(DYNAMICS, ACCURACY, tables.accuracy(models), **runs),
    }


def unseen(axes) -> set[Text]:
    """Return the text of a panel that is not shown, and labels of ticks beyond an axis's ends."""
    if not axes.get_visible():
        return set(axes.findobj(Text))
    beyond = set()
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return beyond


@pytest.mark.parametrize("font_size", [7, 16])
@pytest.mark.parametrize("name", many_models(None))
def test_no_text_is_cut_off_or_overlaps_the_legend(draw, name, font_size):
    style.apply(Figures(formats=["svg"], dpi=50, font_size=font_size, published=True))
    figure = many_models(draw)[name]()
    figure.canvas.draw()
    legends = [legend.get_window_extent() for legend in figure.legends]
    in_legends = {text for legend in figure.legends for text in legend.findobj(Text)}
    for text in set(figure.findobj(Text)) - {text for axes in figure.axes for text in unseen(axes)}:
        if not text.get_text().strip() or not text.get_visible():
            continue
        box = text.get_window_extent()
        assert box.x0 > -1 and box.y0 > -1, text.get_text()
        assert box.x1 < figure.bbox.x1 + 1 and box.y1 < figure.bbox.y1 + 1, text.get_text()
        assert text in in_legends or not any(legend.overlaps(box) for legend in legends), text.get_text()


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"model,level\nbase,1\n", b'{"step": 0}\n', b'{"splits": {}}'])
def test_a_missing_or_damaged_file_is_named(tmp_path, content):
    path, good = tmp_path / "broken.file", tmp_path / "good.parquet"
    write_parquet(good, ACCURACY, [tables.accuracy()])
    if content is not None:
        path.write_bytes(content)
    for module in (accuracy_by_level, pass_at_k, failures, exposure, stage1_accuracy, stage1_selection, stage1_training):
        with pytest.raises(UserError, match=r"broken\.file"):
            module.plot(path)
    run = tmp_path / "broken.file.jsonl"
    if content is not None:
        run.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.file"):
        learning_curves.plot(good, run)


def test_the_program_draws_every_format_and_the_same_twice(tmp_path, monkeypatch):
    files = tables.write(tmp_path, CLASSES)
    inputs = {
        "learning_curves": [
            files["accuracy"],
            *(files[f"{model} selection"] for model in tables.ITERATIONS),
            *(files[model] for model in tables.CURRICULA),
        ],
        "failures": [files["failures"]],
        "exposure": [files["dataset"]],
    }
    for name, paths in inputs.items():
        for folder, formats in (("first", ["svg", "png", "pdf"]), ("second", ["svg"])):
            spec = json.dumps({"code": 1, "formats": formats, "dpi": 50, "font_size": 9, "published": True})
            command = ["plot.py", name, *paths, "--spec", spec, "--stem", tmp_path / folder / name]
            monkeypatch.setattr(sys, "argv", [str(part) for part in command])
            runpy.run_path(PLOT, run_name="__main__")
        for extension, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
            assert (tmp_path / f"first/{name}.{extension}").read_bytes().startswith(start)
        assert (tmp_path / f"first/{name}.svg").read_bytes() == (tmp_path / f"second/{name}.svg").read_bytes()
