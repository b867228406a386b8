"""Figures of the whole experiment: they show the numbers of their tables, and readers can tell what is what."""

import json
import runpy
import sys
from itertools import combinations, pairwise
from pathlib import Path

import pytest
import results_tables as tables
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from fofg.config import Figures
from fofg.data.files import write_parquet
from fofg.data.schemas import ACCURACY, FAILURE_SHARES, PASSK
from fofg.errors import UserError
from fofg.report import comparison, exposure, failures, learning, names, passk, style
from fofg.report.style import plt
from fofg.tasks.strings.failures import CLASSES

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
SMALL = Figures(formats=["svg"], dpi=50, font_size=10)
OWN = ["stage2-rl-mixed", "stage2-rl-level3", "stage2-rl-slow_start"]


@pytest.fixture(autouse=True)
def closed():
    style.apply(SMALL)
    yield
    plt.close("all")


def lines(axes) -> dict[str, list[float]]:
    """Label of a curve -> its heights."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines if not line.get_label().startswith("_")}


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def lightness(color: str) -> float:
    red, green, blue = to_rgb(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# --- names and looks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("base", "base"),
        ("stage1-rft", "Stage 1"),
        ("stage2-rft-iter0", "RFT, iteration 1"),
        ("stage2-rl-level1", "RL on Level 1"),
        ("stage2-rl-level1to2", "RL on Levels 1+2"),
        ("stage2-rl-level1to4", "RL on Levels 1–4"),
        ("stage2-rl-slow_start", "RL, slow_start"),
        ("stage2-rl-level2b", "RL, level2b"),
        ("somebodys-own", "somebodys-own"),
    ],
)
def test_models_have_names_that_readers_understand(model, label):
    assert names.label(model) == label


def test_the_last_iteration_stands_for_all_in_a_comparison():
    many = [f"stage2-rft-iter{number}" for number in range(12)]
    shown = names.compared(["base", *reversed(many), "stage2-rl-level1"])
    assert shown == {"base": "base", "stage2-rft-iter11": "RFT, 12 iterations", "stage2-rl-level1": "RL on Level 1"}
    assert names.compared(["stage2-rft-iter0"]) == {"stage2-rft-iter0": "RFT, 1 iteration"}
    assert names.compared(["base"]) == {"base": "base"}


@given(st.sets(st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), max_size=18))
def test_no_two_models_look_alike_whatever_the_curricula_are_called(curricula):
    models = [*tables.MODELS, *(f"stage2-rl-{name}" for name in curricula)]
    looks = style.looks(models)
    assert len(set(looks.values())) == len(set(models))
    for first, second in combinations(set(models), 2):
        one, other = looks[first], looks[second]
        if abs(lightness(one.color) - lightness(other.color)) < 0.1 and None in map(names.iteration, (first, second)):
            assert (one.marker, one.line) != (other.marker, other.line), (first, second)


@pytest.mark.parametrize("model", [*tables.MODELS, *OWN])
def test_a_model_looks_the_same_in_every_figure(model):
    others = [name for name in [*tables.MODELS, *OWN] if name != model]
    if names.iteration(model) is None:
        assert style.looks([model])[model] == style.looks([*others, model])[model]


def test_iterations_of_rft_grow_darker_and_the_last_is_full():
    looks = style.looks(tables.ITERATIONS)
    colors = [lightness(looks[model].color) for model in tables.ITERATIONS]
    assert colors == sorted(colors, reverse=True)
    assert looks[tables.ITERATIONS[-1]] == style.looks(tables.ITERATIONS[-1:])[tables.ITERATIONS[-1]]


def test_levels_grow_darker():
    colors = [lightness(style.level_curve(level)["color"]) for level in range(1, 9)]
    assert all(later < earlier for earlier, later in pairwise(colors))
    assert style.level_curve(12) == style.level_curve(8)


# --- what figures show ----------------------------------------------------------------------------------------------


def test_the_comparison_shows_each_models_accuracy_and_interval():
    rows = tables.accuracy()
    figure = comparison.draw(rows)
    sampled, greedy = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "sampled (avg@2), 64 problems per level",
        "greedy, 64 problems per level",
    ]
    assert list(lines(sampled)) == ["base", "Stage 1", "RFT, 3 iterations", "RL on Level 1", "RL on Level 2", "RL on Levels 1+2"]
    assert lines(greedy)["RL on Level 2"] == pytest.approx([7 / 10**level for level in range(1, 9)])
    of_base = next(row for row in rows if row["model"] == "base")
    ends = sampled.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert list(ends) == pytest.approx([of_base["low"], of_base["high"]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(lines(sampled))


def test_the_comparison_leaves_out_what_was_not_measured():
    rows = tables.accuracy(decodings=["sampled"], levels=[2, 3])
    rows = [row for row in rows if not (row["model"] == "base" and row["level"] == 3)]
    (axes,) = comparison.draw(rows).axes
    assert len(lines(axes)["base"]) == 1
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "3"]


def test_pass_at_k_has_a_panel_a_level_and_a_band_a_model():
    rows = tables.passk(levels=(1, 2, 3, 5))
    figure = passk.draw(rows)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left").split(" (")[0] for axes in shown] == ["Level 1", "Level 2", "Level 3", "Level 5"]
    level2 = shown[1]
    assert lines(level2)["Stage 1"] == pytest.approx([1 - 0.5**k for k in (1, 2, 4, 8, 16, 32, 64)])
    assert level2.get_xscale() == "log" and level2.xaxis.get_transform().base == 2
    mine = [row for row in rows if row["model"] == "base" and row["level"] == 2]
    (low, high) = level2.collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((min(row["low"] for row in mine), max(row["high"] for row in mine)))
    figure.canvas.draw()
    assert [label.get_text() for label in shown[3].get_xticklabels()][1:-1] == ["1", "4", "16", "64"]


def test_failure_bars_are_stacked_to_the_whole_in_the_classes_order():
    figure = failures.draw(tables.failures(CLASSES))
    assert tuple(failures.LOOKS) == CLASSES
    panel = figure.axes[1]
    assert panel.get_title(loc="left") == "Level 3"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [names.label(model) for model in tables.MODELS]
    for place in range(len(tables.MODELS)):
        bars = [container.patches[place] for container in panel.containers]
        widths = dict(zip(CLASSES, (bar.get_width() for bar in bars)))
        assert widths[CLASSES[0]] == place / 64 and widths[CLASSES[3]] == (64 - place) / 64
        assert sum(widths.values()) == pytest.approx(1)
        assert [bar.get_hatch() or "" for bar in bars] == [hatch for _, hatch in failures.LOOKS.values()]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [CLASSES[place].replace("_", " ") for place in (0, 2, 3, 4)]


def test_classes_that_stand_side_by_side_differ_in_grey():
    looks = list(failures.LOOKS.values())
    assert len({(round(lightness(color), 1), hatch) for color, hatch in looks}) == len(looks)
    for (color, hatch), (next_color, next_hatch) in pairwise(looks):
        assert hatch != next_hatch or abs(lightness(color) - lightness(next_color)) > 0.15


def test_learning_curves_show_training_validation_and_iterations():
    runs = {model: tables.metrics(levels, phases=2) for model, levels in zip(tables.CURRICULA, ((1,), (2,), (1, 2)))}
    figure = learning.draw(runs, tables.accuracy())
    *tops, legend = figure.axes[:4]
    *bottoms, rft = figure.axes[4:]
    assert [axes.get_title(loc="left") for axes in tops] == ["RL on Level 1", "RL on Level 2", "RL on Levels 1+2"]
    assert list(lines(tops[0])) == ["mean reward", "accuracy"]
    assert list(lines(tops[2])) == ["mean reward", "accuracy", "Level 1", "Level 2"]
    assert lines(tops[0])["accuracy"] == pytest.approx([step / 10 for step in range(1, 7)])
    assert lines(bottoms[1])["Level 3"] == pytest.approx([step / 24 for step in (0, 2, 4, 6)])
    assert [line.get_xdata()[0] for line in tops[1].lines if line.get_linestyle() == ":"] == [3.5]
    assert list(lines(rft)) == ["Level 1", "Level 2", "Level 3", "Level 4"], "the levels that the runs were validated on"
    assert lines(rft)["Level 1"] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert [round(float(place)) for place in rft.lines[1].get_xdata()] == [0, 1, 2, 3]
    assert [text.get_text() for text in legend.get_legend().get_texts()][:2] == ["mean reward", "accuracy"]


def test_a_run_without_validation_says_so_and_all_levels_of_rft_are_shown():
    figure = learning.draw({"stage2-rl-mixed": tables.metrics(validated=())}, tables.accuracy(decodings=["greedy"]))
    assert "no validation\nin this run" in texts(figure)
    assert len(lines(figure.axes[-1])) == 8


def test_exposure_shows_calls_and_unevenness_with_training_files_first(tmp_path):
    files = [
        tables.description("evaluated", test={"func_10": 4, "func_2": 0}),
        tables.description("one", train={"func_10": 30, "func_2": 10, "func_7": 20}, test={"func_2": 1, "func_10": 1, "func_7": 0}),
    ]
    for number, described in enumerate(files):
        (tmp_path / f"{number}.json").write_text(json.dumps(described))
    figure = exposure.draw([*exposure.read(tmp_path / "0.json"), *exposure.read(tmp_path / "1.json")])
    axes = figure.axes[0]
    headings = [label.get_text() for label in axes.get_xticklabels()]
    assert headings == ["one\ntrain, 60", "evaluated\ntest, 4", "one\ntest, 2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ffunc_10  func_10", "ffunc_2  func_2", "ffunc_7  func_7"]
    shown = axes.images[0].get_array()
    assert shown[:, 0].tolist() == [1.5, 0.5, 1.0]
    assert shown.mask.tolist() == [[False, False, False], [False, True, False], [False, True, True]]
    assert {"30", "3.0×", "1.0×"} <= set(texts(figure))


def many_models() -> dict:
    models = [*tables.MODELS, *OWN]
    runs = {model: tables.metrics() for model in [*tables.CURRICULA, *OWN]}
    return {
        "comparison": lambda: comparison.draw(tables.accuracy(models)),
        "comparison of one level": lambda: comparison.draw(tables.accuracy(models, levels=[2], decodings=["sampled"])),
        "pass@k": lambda: passk.draw(tables.passk([*tables.CURRICULA, *OWN])),
        "pass@k of one level": lambda: passk.draw(tables.passk(levels=[3], counts=(1, 1000))),
        "failures": lambda: failures.draw(tables.failures(CLASSES, models)),
        "failures of one level": lambda: failures.draw(tables.failures(CLASSES, levels=[3])),
        "learning": lambda: learning.draw(runs, tables.accuracy(models)),
        "learning of one run": lambda: learning.draw({OWN[0]: tables.metrics()}, tables.accuracy(models)),
    }


def unseen(axes) -> set[Text]:
    """All of a panel that is not shown, and labels of ticks beyond an axis's ends."""
    if not axes.get_visible():
        return set(axes.findobj(Text))
    beyond = set()
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return beyond


@pytest.mark.parametrize("font_size", [7, 16])
@pytest.mark.parametrize("figure", many_models())
def test_no_text_is_cut_off_or_lies_on_the_legend(figure, font_size):
    style.apply(Figures(formats=["svg"], dpi=50, font_size=font_size))
    drawn = many_models()[figure]()
    drawn.canvas.draw()
    legends = [legend.get_window_extent() for legend in drawn.legends]
    in_legends = {text for legend in drawn.legends for text in legend.findobj(Text)}
    for text in set(drawn.findobj(Text)) - {text for axes in drawn.axes for text in unseen(axes)}:
        if not text.get_text().strip() or not text.get_visible():
            continue
        box = text.get_window_extent()
        assert box.x0 > -1 and box.y0 > -1, text.get_text()
        assert box.x1 < drawn.bbox.x1 + 1 and box.y1 < drawn.bbox.y1 + 1, text.get_text()
        assert text in in_legends or not any(legend.overlaps(box) for legend in legends), text.get_text()


# --- files ----------------------------------------------------------------------------------------------------------


def figure_of(kind: str, path: Path, folder: Path) -> None:
    """Draws one figure from a file, the other inputs being good ones."""
    good = folder / "good.parquet"
    write_parquet(good, ACCURACY, [tables.accuracy()])
    stem = folder / "figure"
    {
        "accuracy": lambda: comparison.plot(path, stem, SMALL),
        "passk": lambda: passk.plot(path, stem, SMALL),
        "failures": lambda: failures.plot(path, stem, SMALL),
        "metrics": lambda: learning.plot([f"stage2-rl-level1={path}"], good, stem, SMALL),
        "dataset": lambda: exposure.plot([str(path)], stem, SMALL),
    }[kind]()


@pytest.mark.parametrize("kind", ["accuracy", "passk", "failures", "metrics", "dataset"])
@pytest.mark.parametrize("content", [None, b"", b"PAR1", b'{"step": 0}\n', b'{"dataset": "one", "splits": {}}'])
def test_a_missing_or_damaged_file_is_named(tmp_path, kind, content):
    path = tmp_path / "broken.file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.file"):
        figure_of(kind, path, tmp_path)
    assert not (tmp_path / "figure.svg").exists()


@pytest.mark.parametrize(("kind", "schema"), [("accuracy", ACCURACY), ("passk", PASSK), ("failures", FAILURE_SHARES)])
def test_an_empty_table_and_one_of_other_columns_are_named(tmp_path, kind, schema):
    write_parquet(tmp_path / "empty.parquet", schema, [])
    with pytest.raises(UserError, match=r"empty\.parquet: no row"):
        figure_of(kind, tmp_path / "empty.parquet", tmp_path)
    write_parquet(tmp_path / "other.parquet", schema.remove(schema.get_field_index("level")), [])
    with pytest.raises(UserError, match=r"other\.parquet: no column 'level'"):
        figure_of(kind, tmp_path / "other.parquet", tmp_path)


def test_an_unknown_class_is_named(tmp_path):
    rows = [{"model": "base", "level": 3, "failure": "tired", "responses": 1, "share": 1.0}]
    write_parquet(tmp_path / "f.parquet", FAILURE_SHARES, [rows])
    with pytest.raises(UserError, match=r"f\.parquet: no class 'tired'; there are correct, "):
        failures.plot(tmp_path / "f.parquet", tmp_path / "figure", SMALL)


@pytest.mark.parametrize("entries", [["metrics.jsonl"], ["=a"], ["stage2-rl-a="], ["a=1", "a=2"]])
def test_bad_entries_are_shown(tmp_path, entries):
    with pytest.raises(UserError, match="--rl: "):
        learning.plot(entries, tmp_path / "a.parquet", tmp_path / "figure", SMALL)


def test_metrics_of_fine_tuning_are_refused(tmp_path):
    (tmp_path / "sft.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    with pytest.raises(UserError, match=r"sft\.jsonl: .*reinforcement learning"):
        figure_of("metrics", tmp_path / "sft.jsonl", tmp_path)


def test_programs_draw_every_figure_in_every_format_and_the_same_twice(tmp_path, monkeypatch):
    files = tables.write(tmp_path, CLASSES)
    (tmp_path / "dataset.json").write_text(json.dumps(tables.description("one", train={"func_1": 3, "func_2": 4})))
    runs = [f"{model}={files[model]}" for model in tables.CURRICULA]
    inputs = {
        "plot_main_comparison": ["--accuracy", files["accuracy"]],
        "plot_learning_curves": ["--rl", *runs, "--accuracy", files["accuracy"]],
        "plot_passk": ["--passk", files["passk"]],
        "plot_failures": ["--failures", files["failures"]],
        "plot_exposure": ["--datasets", tmp_path / "dataset.json"],
    }
    for script, arguments in inputs.items():
        for folder, formats in (("first", ["svg", "png", "pdf"]), ("second", ["svg"])):
            spec = json.dumps({"version": 1, "figures": {"formats": formats, "dpi": 50, "font_size": 9}})
            stem = tmp_path / folder / script
            monkeypatch.setattr(sys, "argv", [script, "--spec", spec, *map(str, arguments), "--stem", str(stem)])
            runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
        for extension, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
            assert (tmp_path / f"first/{script}.{extension}").read_bytes().startswith(start)
        assert (tmp_path / f"first/{script}.svg").read_bytes() == (tmp_path / f"second/{script}.svg").read_bytes()
