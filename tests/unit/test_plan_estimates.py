"""``fofg plan``: hours and disk follow from stated keys; what the program prints and refuses."""

import json
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import PAPER, ROOT, configured, costs, of_paper, plan
from safetensors.numpy import load_file, save_file

from fofg.__main__ import main
from fofg.config import load, merge
from fofg.errors import UserError
from fofg.plan.estimate import estimate
from fofg.plan.weights import of_base_model


@pytest.fixture
def fofg(monkeypatch, capsys):
    """Runs the program in this process; gives its exit status, its output and its errors."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: str) -> tuple[int | str, str, str]:
        monkeypatch.setattr(sys, "argv", ["fofg", *arguments])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


# --- hours and disk --------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 3000), st.integers(1, 300), st.floats(0.01, 1))
@settings(max_examples=25)
def test_more_of_anything_is_never_less_work(samples, problems, tokens, kept):
    """One number after another is raised; no count, hour or byte falls."""
    config = configured()
    values = {
        "datasets": {"stage1_level1": {"train": problems}},
        "stage1": {"rollouts": {"samples": samples, "max_response_tokens": tokens}},
        "stage2": {"rl": {"rollouts": {"samples": samples + 1}, "max_generation_batches": samples}},
        "plan": {"kept_share": kept / 2, "mean_response_tokens": float(tokens)},
    }
    steps = [
        {},
        {"datasets": {"stage1_level1": {"train": problems + 7}}},
        {"stage1": {"rollouts": {"samples": samples + 3}}},
        {"stage1": {"rollouts": {"max_response_tokens": tokens + 5}}},
        {"stage2": {"rl": {"rollouts": {"samples": samples + 2}}}},
        {"stage2": {"rl": {"max_generation_batches": samples + 1}}},
        {"plan": {"kept_share": kept}},
        {"plan": {"mean_response_tokens": tokens + 2.5}},
    ]
    found = []
    for step in steps:
        merge(values, step)
        told = estimate(load(_merged(config.model_dump(mode="json"), values)), ["all"])
        total = told.total()
        responses = [sum(row.responses[place] for row, _ in told.rollouts) for place in range(3)]
        work = [row.tokens for row, _ in told.training] + [row.steps.expected for row, _ in told.training]
        found.append([total.hours, total.most_hours, total.wall_hours, total.kept_gb, *responses, *work])
        assert all(row.responses.least <= row.responses.expected <= row.responses.most for row, _ in told.rollouts)
        assert all(row.expected_tokens <= row.response_tokens for row, _ in told.rollouts)
        assert all(cost.hours <= cost.most_hours + 1e-9 for cost in told.costs())
    assert all(before <= after + 1e-9 for one, next_one in pairwise(found) for before, after in zip(one, next_one))


def _merged(values: dict, changes: dict) -> dict:
    merge(values, changes)
    return values


def test_the_estimate_of_the_default_run_is_near_what_was_measured():
    """22 minutes for everything on two cores, 2 for Stage 1 (README)."""
    assert 22 / 1.5 < 60 * plan().total().hours < 22 * 1.5
    assert 2 / 2 < 60 * plan("stage1_rft").total().hours < 2 * 2


def test_twice_the_throughput_is_half_the_time():
    slow = of_paper("passk", passk={"models": ["base"]}, plan={"start_seconds": 0})
    fast = of_paper("passk", passk={"models": ["base"]}, plan={"start_seconds": 0, "rollout_tokens_per_second": 24_000})
    assert slow.total().hours == pytest.approx(2 * fast.total().hours)


def test_more_gpus_shorten_what_can_run_side_by_side():
    config = configured(PAPER)
    few, many = estimate(config, ["all"]), estimate(config, ["all"], gpus=64)
    assert few.total().hours == many.total().hours
    assert costs(few.rollouts)["pass@k"].wall_hours == pytest.approx(8 * costs(many.rollouts)["pass@k"].wall_hours)
    # Stage 1 has 16 shards, and a training job the 8 GPUs that it asks for
    assert costs(few.rollouts)["Stage 1"].wall_hours == pytest.approx(2 * costs(many.rollouts)["Stage 1"].wall_hours)
    assert costs(few.training) == costs(many.training)
    # with more jobs at once, more states to resume from lie on disk
    assert many.total().working_gb == pytest.approx(5 * few.total().working_gb)


def test_jobs_that_share_a_gpu_start_side_by_side():
    alone = of_paper("passk", passk={"models": ["base"]})
    shared = of_paper("passk", passk={"models": ["base"]}, rollout_engine={"jobs_per_gpu": 4})
    assert alone.total().hours - shared.total().hours == pytest.approx(0.75 * 32 * 120 / 3600)


def test_too_few_gpus_are_refused():
    with pytest.raises(UserError, match="--gpus: 4, but one job asks for 8"):
        estimate(configured(PAPER), ["all"], gpus=4)
    with pytest.raises(UserError, match="--gpus: no job asks for a GPU"):
        estimate(configured(), ["all"], gpus=4)


# --- the model's size ------------------------------------------------------------------------------------------------


def test_parameters_of_a_folder_are_counted(tiny_model):
    weights = load_file(tiny_model / "model.safetensors").values()
    told = of_base_model(configured(base_model=str(tiny_model)))
    assert told == (sum(one.size for one in weights), sum(one.nbytes for one in weights), str(tiny_model))


def test_parameters_of_shards_are_counted(tmp_path):
    for name, shape in {"one": (3, 5), "two": (7,), "stray": (100,)}.items():
        save_file({name: np.zeros(shape, np.float16)}, tmp_path / f"{name}.safetensors")
    index = {"weight_map": {name: f"{name}.safetensors" for name in ("one", "two")}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert of_base_model(configured(base_model=str(tmp_path)))[:2] == (22, 44)


def test_a_hub_name_has_the_stated_number_and_is_downloaded():
    assert plan(base_model="someone/model", plan={"model_parameters": 1000}).download_gb == pytest.approx(2000 / 1e9)
    own = {"base_model": "someone/model", "use": {"stage1_checkpoint": "mine"}}
    assert plan("stage2_rl_level1", **own).download_gb == 0


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, (5).to_bytes(8, "little") + b"{not}"])
def test_damaged_weights_are_named(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"model.safetensors: damaged weights"):
        plan(base_model=str(tmp_path))


# --- the program -----------------------------------------------------------------------------------------------------


def test_the_paper_in_words(fofg):
    status, out, _ = fofg("plan", "--configfile", "config/paper.yaml")
    assert status == 0
    (row,) = re.findall(r"^Stage 1 +16 .*$", out, re.MULTILINE)
    assert row.split()[2:] == ["16", "50,000", "500,000", "51,200,000", "4,096,000,000", "250,000,000", "6.32", "0.75"]
    assert re.search(r"^RL level2 +- +11,200–224,000 +179,200–3,584,000 ", out, re.MULTILINE)
    assert "machine" not in out
    assert re.search(r"^GPU hours +\d+ expected, [\d,]+ if every response is as long as allowed$", out, re.MULTILINE)
    assert re.search(r"^wall clock .* on 8 GPUs, one row after another$", out, re.MULTILINE)
    assert "GB under runs/paper" in out and "GB for meta-llama/Llama-3.1-8B-Instruct, unless downloaded" in out
    assert re.search(r"^ +12,000 +response tokens/s of a GPU +plan.rollout_tokens_per_second$", out, re.MULTILINE)
    tables = [part.splitlines() for part in out.split("\n\n")[1:4]]
    assert all(len(set(map(len, lines))) == 1 for lines in tables), "columns are even"


def test_without_a_gpu_hours_are_of_the_machine(fofg):
    _, out, _ = fofg("plan", "stage1_rft")
    assert "machine hours" in out and "on this machine" in out and "GPU" not in out
    assert "downloaded" not in out


def test_every_stated_key_is_shown_with_its_value(fofg):
    _, out, _ = fofg("plan", "all", "tiny_base", "--config", "base_model=someone/model")
    shown = {key: value for value, key in re.findall(r"^ +([\d.,]+)  .*  plan\.(\w+)$", out, re.MULTILINE)}
    assert shown == {key: f"{value:,.12g}" for key, value in configured().plan.model_dump().items()}


def test_problems_alone_have_no_hours(fofg):
    status, out, _ = fofg("plan", "stage1_create_problems")
    assert status == 0
    assert out.rstrip().endswith("2,128 problems")
    assert "hours" not in out


def test_json_holds_the_bounds_and_what_was_assumed(fofg):
    _, out, _ = fofg("plan", "stage2_rl_level2", "--configfile", "config/paper.yaml", "--json")
    told = json.loads(out)
    (groups,) = [row for row in told["rollouts"] if row["stage"] == "RL level2"]
    assert groups["responses"] == {"least": 179_200, "expected": 716_800, "most": 3_584_000}
    assert told["assumptions"]["rollout_tokens_per_second"] == 12_000
    assert told["assumptions"]["model_parameters_from"] == "plan.model_parameters"
    jobs = {row["rule"]: row["jobs"] for row in told["training"]}
    assert jobs == {"train_sft": 1, "train_rl": 1}
    assert told["total"]["hours"] == pytest.approx(sum(row["hours"] for row in told["rollouts"] + told["training"]))


def test_overlays_and_keys_are_merged_as_snakemake_merges_them(fofg, tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("stage1: {rollouts: {samples: 3}}\n")
    asked = ("plan", "stage1_rft", "--json", "--configfile", "config/paper.yaml", str(overlay), "--config")
    _, out, _ = fofg(*asked, "datasets={stage1_level1: {train: 40}}", "run_dir=elsewhere")
    (row,) = [row for row in json.loads(out)["rollouts"] if row["stage"] == "Stage 1"]
    assert (row["prompts"]["most"], row["responses"]["most"]) == (40, 120)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stage2_rl_levle2"], "error: stage2_rl_levle2: no such target; did you mean stage2_rl_level2?"),
        (["xyz"], "error: xyz: no such target; there are all, stage1_create_problems, "),
        (
            ["all", "--config", "plan={rollout_tokens: 3}"],
            "plan.rollout_tokens: no such key; did you mean plan.rollout_tokens_per_s",
        ),
        (["all", "--config", "plan={kept_share: 2}"], "plan.kept_share: Input should be less than or equal to 1"),
        (["all", "--config", "nonsense"], "error: --config: 'nonsense' is not KEY=VALUE"),
        (["all", "--config", "plan={"], "error: --config: 'plan={' is not KEY=VALUE"),
        (["all", "--configfile", "nowhere.yaml"], "error: nowhere.yaml: No such file"),
    ],
)
def test_mistakes_are_named(fofg, arguments, says):
    status, out, _ = fofg("plan", *arguments)
    assert says in str(status)
    assert out == ""


def test_it_loads_neither_torch_nor_snakemake():
    program = (
        "import sys; from fofg.__main__ import main; sys.argv = ['fofg', 'plan', '--configfile', 'config/paper.yaml']; main();"
        "assert not {'torch', 'transformers', 'snakemake'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pass@k" in done.stdout


def test_an_unknown_target_ends_the_program_with_an_error():
    done = subprocess.run([sys.executable, "-m", "fofg", "plan", "evalute"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: evalute: no such target; did you mean evaluate?"
