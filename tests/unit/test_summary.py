"""The summary: this run's rows beside the published ones, in valid Markdown; versions; the text of Snakemake's report."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import results_tables as tables
import yaml
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt

from fofg.data.files import write_parquet
from fofg.data.schemas import ACCURACY, PASSK
from fofg.errors import UserError
from fofg.report import paper, summary, transfer, versions

ROOT = Path(__file__).parents[2]
#: The classes that the paper has come first, success before all.
CLASSES = ("correct", "atomic_error", "incorrect_composition", "incomplete_trace", "ignores_composition", "no_answer", "unreadable")


@pytest.fixture
def files(tmp_path):
    return tables.write(tmp_path, CLASSES)


def written(files, models=tables.MODELS, runs=tables.CURRICULA) -> str:
    paths = (files[name] for name in ("accuracy", "comparisons", "passk", "failures", "dataset"))
    selections, tuned = ([files[model + end] for model in tables.ITERATIONS] for end in (" selection", ""))
    return summary.summary(models, "a/model", *paths, [files[model] for model in runs], selections, tuned, group=8)


def read_tables(text: str) -> list[list[list[str]]]:
    """Return the cells of each table, as a Markdown reader sees them."""
    found = []
    for table in re.findall(r"<table>.*?</table>", MarkdownIt().enable("table").render(text), re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        found.append([[html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows])
    return found


def test_published_rows_follow_those_of_the_same_model(files):
    sampled, pairs, greedy, passk, *_ = read_tables(written(files))
    named = [tuple(row[:2]) for row in sampled[1:]]
    assert named[:3] == [("base", summary.OURS), ("Stage 1", summary.OURS), ("Stage 1", "paper (8B) §4.1")]
    rows = dict(zip(named, (row[2:] for row in sampled[1:])))
    assert rows["Stage 1", summary.OURS][:2] == ["20.0% (12.0 to 31.4)", "2.0% (0.4 to 9.0)"]
    assert rows["RL on Level 2", "paper (8B) §4.1"][:4] == ["–", "64% (exact)", "27–28.1% (exact)", "~15% (approx.)"]
    assert pairs[1:] == [
        ["RL on Level 2 – RL on Level 1", "<strong>+10.0 (0.040)</strong>", "+10.0 (0.080)"],
        ["RL on Levels 1+2 – RL on Level 1", "<strong>+20.0 (0.040)</strong>", "+20.0 (0.080)"],
        ["RL on Levels 1+2 – RL on Level 2", "<strong>+10.0 (0.040)</strong>", "+10.0 (0.080)"],
    ]
    published = [row[0] for row in greedy[1:] if row[1] == paper.REPRODUCTION]
    assert published == ["Stage 1", "on-policy SFT", "on-policy GRPO on Level 2"]
    assert [row[2] for row in passk[1:]] == ["1", "64"] * 3 + ["1", "1,024"]
    assert passk[1][3].startswith("50.0% (") and passk[-2][7] == "4 points (approx.)"


def test_the_table_of_the_second_task_names_models_by_their_base(tmp_path):
    """The paper's models come with its numbers, also where the run lacks them."""
    rows = tables.accuracy(("multi-base", "multi-base-rl-level1", "stage2-rl-level1to2"), range(3, 6), ["sampled"])
    (table,) = read_tables(transfer.table(["multi-base", "multi-base-rl-level1", "stage2-rl-level1to2"], pd.DataFrame(rows)))
    ours = [name for name, source, *_ in table if source == summary.OURS]
    assert ours == ["multi-base", "multi-base + RL on Level 1", "string-base + RL on Levels 1+2"]
    published = {name: numbers for name, source, *numbers in table if source == "paper (8B) §4.3"}
    assert published["multi-base + RL on Levels 1+2"] == ["35% (exact)", "~6% (approx.)", "–"]
    assert published.keys() > {*ours}


def test_what_the_arms_took_is_said_of_all_iterations_and_each_run(files):
    """Groups of 8 responses: 32 drawn in each of 6 steps, 20 kept in 5 of them. Records of before have no tokens."""
    records = [{name: value for name, value in record.items() if name != "tokens"} for record in tables.metrics()]
    tables.write_metrics(files["accuracy"].parent, "stage2-rl-level1", records)
    effort = read_tables(written(files))[5]
    assert effort[1:3] == [["RFT, 3 iterations", "6,000", "903", "15,000"], ["RL on Level 1", "1,536", "800", "–"]]
    assert effort[3] == ["RL on Level 2", "1,536", "800", "6,000"]


def test_failure_shares_by_level_and_model(files):
    rows = read_tables(written(files))[4]
    assert rows[0][:4] == ["level", "model", "source", "responses"]
    assert [cell.replace(" ", "_") for cell in rows[0][4:]] == list(CLASSES)
    ours, published = ([row for row in rows[1:] if (row[2] == summary.OURS) is mine] for mine in (True, False))
    assert len(ours) == 3 * len(tables.MODELS)
    assert [row[1] for row in published] == ["Stage 1", "RFT on Level 2", "RL on Level 1", "RL on Level 2"]
    assert published[0][4:9] == ["–", "–", "–", "–", "> 50% (exact)"]
    assert published[3][4:9] == ["28.1% (exact)", "55% (exact)", "–", "–", "0% (exact)"]
    assert rows[2][:6] == ["2", "Stage 1", summary.OURS, "64", "1.6%", "0.0%"]
    assert rows[2][4 + 2] == "98.4%"


def test_unmeasured_values_are_omitted_or_dashes(files, tmp_path):
    rows = [
        row for row in tables.accuracy(["base", "stage1-rft"], decodings=["sampled"]) if row["level"] != 3 or row["model"] == "base"
    ]
    write_parquet(files["accuracy"], ACCURACY, [rows])
    write_parquet(files["passk"], PASSK, [tables.passk(["base"], levels=[2], counts=[1])])
    sampled, _, greedy, passk, *_ = read_tables(written(files, ["base", "stage1-rft", "stage2-rl-mixed"]))
    assert [row[0] for row in sampled[1:3]] == ["base", "Stage 1"]
    assert sampled[2][2:5] == ["20.0% (12.0 to 31.4)", "2.0% (0.4 to 9.0)", "–"]
    assert "RL, mixed" not in {row[0] for row in sampled}
    published = {row[0] for row in sampled[3:]}
    assert published == {"Stage 1", "RFT on Level 2", "RL on Level 1", "RL on Level 2", "RL on Levels 1+2"}
    assert all(row[1] == paper.REPRODUCTION for row in greedy[1:])
    assert [row[:3] for row in passk[1:2]] == [["base", summary.OURS, "1"]] and passk[2][1].startswith(paper.PAPER)


@pytest.mark.parametrize(("shared", "count"), [(46, "46 are in atoms/train"), (0, "none is a training problem")])
def test_evaluation_problems_seen_in_training_are_counted(tmp_path, shared, count):
    overlap = {"atoms/train": shared, "deep/test": 9}
    (tmp_path / "d.json").write_text(json.dumps(tables.description("deep", overlap, test={"func_0": 2048})))
    assert count in summary.overlap(tmp_path / "d.json")


@pytest.mark.parametrize(
    "name", ["accuracy", "comparisons", "passk", "failures", "dataset", "stage2-rl-level2", "stage2-rft-iter1 selection"]
)
def test_a_missing_or_damaged_file_is_named(files, name):
    files[name].write_bytes(b"not this")
    with pytest.raises(UserError, match=files[name].name):
        written(files)
    files[name].unlink()
    with pytest.raises(UserError, match=files[name].name):
        written(files)


# --- versions and the report page -----------------------------------------------------------------------------------


def test_versions_are_found_without_importing_the_packages():
    program = "import json, sys; from fofg.report.versions import installed; print(json.dumps([installed(), [*sys.modules]]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found, loaded = json.loads(done.stdout)
    assert found["python"] == sys.version.split()[0] and found["pandas"] == pd.__version__ and not {"torch", "pandas"} & {*loaded}
    (rows,) = read_tables(versions.versions_table({"a-plugin": "9", "torch": "2.1", "python": "3.11.7"}))
    assert rows == [["package", "version"], ["python", "3.11.7"], ["torch", "2.1"], ["a-plugin", "9"]]


def test_the_report_page_has_the_whole_configuration():
    config = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    config["problems"]["template"] = "Quote \" and ' and `x` and <b> and {{ code }}\n\n{code} {input}"
    template = Environment(undefined=StrictUndefined).from_string((ROOT / "report/workflow.rst").read_text())
    page = publish_parts(template.render(snakemake={"config": config}), writer="html")["html_body"]
    assert "system-message" not in page
    assert '<h1 class="title">From f(x) and g(x) to f(g(x))</h1>' in page
    assert "3 curricula (level1, level2, level1to2)" in page
    (block,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert yaml.safe_load(html.unescape(block)) == config


def test_every_figure_has_a_rule_and_a_caption():
    figures = {path.stem for path in (ROOT / "src/fofg/report/figures").glob("[!_]*.py")}
    entries = re.search(r"^FIGURES = {\n.*?^}", (ROOT / "rules/figures.smk").read_text(), re.MULTILINE | re.DOTALL)[0]
    assert set(re.findall(r'^    "(\w+)": ', entries, re.MULTILINE)) == figures
    assert figures <= {path.stem for path in (ROOT / "report").glob("*.rst")}
