"""Snakemake's commands on the workflow, and mistakes on the command line."""

import os
import re
import sys

import nvidia_smi
import pyarrow.parquet as pq
import pytest
import yaml
from checkouts import ROOT, environment, make_checkout, snakemake
from terminal import Terminal

TARGETS = {
    *("all", "analyze_failures", "evaluate", "figures", "passk", "stage1_create_problems", "stage1_create_train_data"),
    *("stage1_rft", "stage2_create_problems", "stage2_rft_create_problems", "stage2_rft_create_train_data"),
    *("stage2_rft_train", "stage2_rl_level1", "stage2_rl_level1to2", "stage2_rl_level2", "tiny_base"),
}


def test_an_image_without_sdm_apptainer_is_an_error(checkout):
    done = checkout.run("stage1_rft", "--config", "container=docker://fofg-gpu", check=False)
    assert done.returncode and "container: an image is used with --sdm apptainer only" in done.stdout + done.stderr
    assert not (checkout.folder / "data").exists()


def test_every_target_is_listed_with_a_description():
    listed = dict(re.findall(r"^(\w+) \((.+)\)$", snakemake("--list-target-rules").stdout, re.MULTILINE))
    assert listed.keys() >= TARGETS
    assert all(listed[target] for target in TARGETS)


def test_a_custom_curriculum_and_dataset_need_no_code(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "datasets: {level3: {stage: 2, levels: [3, 3], train: 100, test: 0}}\n"
        "stage2: {rl: {curricula: {level3: [{steps: 2, mixture: {stage2_level1: 1}}, {steps: 2, mixture: {level3: 1}}]}}}\n"
        "passk: {models: [stage2-rl-level3]}\n"
    )
    done = snakemake("stage2_rl_level3", "evaluate", "passk", "--dry-run", "--cores", "2", "--configfile", str(overlay))
    assert done.returncode == 0, done.stderr
    for path in ("model.safetensors", "data/string_task/level3/train.parquet", "verdicts.parquet", "counts.parquet"):
        name = path if path.startswith("data") else rf"stage2-rl-level3/\S*{path}"
        assert re.search(name, done.stdout), path


def test_a_renamed_value_is_noted_on_stderr_and_the_graph_stays_valid():
    done = snakemake("stage1_create_problems", "--dag", "--config", "scoring={scheme: paper}")
    assert done.returncode == 0 and done.stdout.startswith("digraph")
    assert "scoring.scheme: paper is now called published_code" in done.stderr


def test_every_job_has_a_log_and_a_benchmark():
    done = snakemake("all", "tiny_base", "--dry-run", "--forceall", "--cores", "1")
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: +.*\n)+)", done.stdout, re.MULTILINE)
    makes = [(rule, text) for rule, text in jobs if re.search("^ +output: ", text, re.MULTILINE)]
    assert len({rule for rule, _ in makes}) > 30
    for rule, text in makes:
        assert re.search("^ +log: .*[.]log$", text, re.MULTILINE) and re.search("^ +benchmark: ", text, re.MULTILINE), rule


@pytest.mark.parametrize(
    ("drawing", "language", "begins"),
    [("--dag", "dot", "digraph snakemake_dag {"), ("--rulegraph", "mermaid-js", "---\ntitle: DAG")],
)
def test_drawings_have_no_other_output(drawing, language, begins):
    done = snakemake("all", drawing, language)
    assert done.stdout.startswith(begins)
    assert done.returncode == 0
    assert "train_sft" in done.stdout and "train_rl" in done.stdout


def test_a_mistyped_profile_is_an_error_that_lists_the_profiles():
    done = snakemake("stage1_rft", "--cores", "1", "--dry-run", "--workflow-profile", "profiles/slrum")
    assert done.returncode == 1
    assert "--workflow-profile: no profiles/slrum/config.yaml; there are" in done.stdout + done.stderr
    assert "profiles/slurm" in done.stdout + done.stderr


@pytest.mark.parametrize(("target", "close"), [("stage2_rl_leve2", "stage2_rl_level2"), ("data/README.mb", None)])
def test_an_unknown_target_comes_with_a_close_one(target, close):
    done = snakemake(target, "--cores", "1", "--dry-run")
    hint = f"did you mean {close}? " if close else ""
    assert done.returncode == 1 and f"{target}: no such target; {hint}`snakemake --list" in done.stdout + done.stderr


def test_the_slurm_profile_plans_the_same_jobs_as_the_default():
    """The same jobs for the same reasons."""
    ours, default = (yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text()) for name in ("slurm", "default"))
    common = {key: value for key, value in default.items() if not key.startswith(("__", "?"))}  # without the bars of a terminal
    assert {key: ours[key] for key in common} == common
    cluster, here = (
        snakemake("stage1_rft", "--dry-run", "--quiet", *profile)
        for profile in (("--workflow-profile", "profiles/slurm"), ("--cores", "1"))
    )
    assert cluster.returncode == here.returncode == 0, cluster.stderr
    assert cluster.stdout.partition("Job stats")[2] == here.stdout.partition("Job stats")[2]


@pytest.mark.slow
def test_a_custom_engine_is_found_on_pythonpath(checkout, tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/my_engines.py").write_text(
        "from fofg.rollouts.transformers_engine import TransformersEngine\n\n\n"
        "class Shouting(TransformersEngine):\n"
        "    def __init__(self, model, settings, dtype='auto', batch_size=128, ending=''):\n"
        "        super().__init__(model, settings, dtype, batch_size)\n"
        "        self.ending = ending\n\n"
        "    def _sample(self, tokens, finish_reason):\n"
        "        sample = super()._sample(tokens, finish_reason)\n"
        "        return type(sample)(sample.text.upper() + self.ending, sample.finish_reason, sample.token_count)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "theirs"))
    rollouts = "data/string_task/stage1_level1/rollouts/0.parquet"

    def run(options, *more):
        changes = (f"rollout_engine={{name: 'my_engines:Shouting', options: {options}}}", "datasets={stage1_level1: {train: 8}}")
        return snakemake(rollouts, "--cores", "2", *more, "--config", *changes, folder=checkout.folder)

    done = run("{ending: '!'}")
    assert done.returncode == 0, done.stderr
    responses = [text for row in pq.read_table(checkout.folder / rollouts)["responses"].to_pylist() for text in row]
    assert len(responses) == 32
    assert all(text == text.upper() and "OUTPUT" in text and text.endswith("!") for text in responses)
    assert "Nothing to be done" in run("{ending: '!'}", "--dry-run").stdout
    assert re.search(r"^generate_rollouts +1$", run("{ending: '?'}", "--dry-run").stdout, re.MULTILINE)
    done = run("{ending: '!', volume: 11}")
    assert done.returncode == 1
    wrong = "rollout_engine.options: engine my_engines:Shouting got an unexpected keyword argument 'volume'"
    assert wrong in done.stdout + done.stderr


def test_a_failed_run_ends_with_the_programs_error(tmp_path):
    """On a terminal, with few lines before it. Also in a folder with a space in its name."""
    checkout = make_checkout(tmp_path / "my own copy")
    command = [sys.executable, "-m", "snakemake", "checkpoints/base/source.json", "stage1_create_problems", "--cores", "1"]
    run = Terminal([*command, "--keep-going", "--config", "base_model=resources/nothere"], checkout.folder, environment())
    assert run.wait() == 1
    first, job, log = run.last_lines()
    assert first == "Failed jobs: 1" and log == "    log: logs/prepare_base_model.log"
    assert job.startswith("  prepare_base_model: error: base_model: no folder resources/nothere")
    assert "✓ create_problems  2 jobs".encode() in run.written and b"problem/s]" not in run.written
    assert not (checkout.folder / "checkpoints/base/config.json").exists()
    made = snakemake("stage1_create_problems", "--cores", "2", folder=checkout.folder)
    assert made.returncode == 0, made.stderr
    assert (checkout.folder / "data/string_task/stage1_level1/train.parquet").exists()


def test_config_values_on_the_command_line_are_read_as_yaml():
    more = ["container=null", "stage1={rft: {max_per_problem: null}}", "use={stage1_problems: ~, stage1_checkpoint: null}"]
    more += ["datasets={x: {stage: 2, levels: [1, 1], train: 4, test: 0}, stage2_level1to2: null}", "passk={models: [base]}"]
    more += ["stage2={rl: {curricula: {level1to2: null}}}"]
    done = snakemake("stage1_rft", "stage2_create_problems", "--dry-run", "--quiet", "rules", "--cores", "1", "--config", *more)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_base_model_is_reported_by_a_dry_run_and_fails_a_run(tmp_path):
    command = ["checkpoints/base/source.json", "--cores", "1", "--config", "base_model=/no/such/model", f"run_dir={tmp_path}"]
    command[0] = f"{tmp_path}/{command[0]}"
    for more, code in ((["--dry-run"], 0), ([], 1)):
        done = snakemake(*command, *more)
        assert "Logging error" not in done.stderr
        assert done.returncode == code and "base_model: no folder /no/such/model; correct the path" in done.stderr
    assert not (tmp_path / "checkpoints").exists()


def test_a_dry_run_ends_with_what_this_machine_lacks():
    engines = "rollout_engine={name: vllm, gpus: 1}", "training={gpus: 1}"
    done = snakemake("stage1_rft", "--dry-run", "--quiet", "rules", "--cores", "1", "--config", *engines)
    assert done.returncode == 0
    gpus, engine = done.stderr.splitlines()[-2:]
    assert engine.startswith("warning: rollout_engine.name: vllm is not installed for")
    assert gpus.startswith("warning: rollout_engine.gpus: 1, training.gpus: 1, but 0 GPUs are visible")


@pytest.mark.parametrize(
    ("target", "options", "warned"),
    [
        ("stage1_rft", (), True),
        ("stage1_create_train_data", (), False),
        ("stage1_rft", ("--resources", "gpu=8"), False),
        ("stage1_rft", ("--workflow-profile", "profiles/slurm"), False),
    ],
    ids=["too few", "enough for these jobs", "declared", "cluster"],
)
def test_a_dry_run_warns_of_gpus_that_its_jobs_lack_on_this_machine(tmp_path, monkeypatch, target, options, warned):
    monkeypatch.setenv("PATH", f"{nvidia_smi.install(tmp_path / 'bin', 2)}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    done = snakemake(target, "--dry-run", "--quiet", "rules", "--cores", "1", "--configfile", "config/paper.yaml", *options)
    assert done.returncode == 0
    assert ("warning: training.gpus: 8, but 2 GPUs are visible" in done.stderr) == warned == ("GPUs are visible" in done.stderr)


def test_a_key_given_twice_in_a_file_is_an_error(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("stage1:\n  sft: {epochs: 7}\nfigures: {dpi: 40}\nstage1: {}\n")
    done = snakemake("stage1_rft", "--dry-run", "--cores", "1", "--configfile", str(path))
    assert done.returncode == 1 and "key stage1 is given twice, in lines 1 and 4" in done.stdout + done.stderr
