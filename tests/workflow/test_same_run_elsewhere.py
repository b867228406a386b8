"""A run stays valid under another spelling of its folder and with its model moved; files without records are checked."""

import shlex
import shutil

import pytest
from checkouts import ROOT, TARGETS, Checkout, snakemake
from test_exact_reruns import PROBLEMS, count


@pytest.fixture
def seed(tmp_path):
    path = tmp_path / "seed.yaml"
    path.write_text("problems: {seed: 7}\n")
    return path


@pytest.mark.slow
def test_another_spelling_of_run_dir_is_the_same_run(finished, seed, tmp_path):
    spelled = tmp_path / "spelled.yaml"
    spelled.write_text(f"run_dir: {finished.folder}/data/../\n")
    assert finished.stale([spelled]) == {}
    assert finished.stale([spelled, seed]) == count(PROBLEMS)


@pytest.mark.slow
def test_a_moved_base_model_reruns_only_the_summary(finished, tmp_path):
    shutil.copytree(finished.folder / "resources/tiny-base", tmp_path / "moved")
    moved = tmp_path / "moved.yaml"
    moved.write_text(f"base_model: {tmp_path}/moved\n")
    assert finished.stale([moved]) == {"write_summary": 1}


@pytest.mark.slow
def test_a_copy_without_snakemakes_records_is_checked_against_its_configuration(finished, seed, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns(".snakemake"), symlinks=True)
    copied = Checkout(folder)
    assert copied.stale() == {}
    speed = tmp_path / "speed.yaml"
    speed.write_text("training: {threads: 1}\nrollout_engine: {batch_size: 3}\n")
    assert copied.stale([speed]) == {}
    for more in (["--dry-run"], []):
        done = copied.run("all", *more, overlays=[seed], check=False)
        assert done.returncode and "made with another configuration (problems.seed)" in done.stdout + done.stderr
    # As the message advises.
    copied.run(*TARGETS, "--touch", "--forceall", overlays=["results/config.json"])
    assert copied.stale() == {}
    assert copied.stale([seed]) == count(PROBLEMS)


def test_files_of_a_stopped_run_with_another_configuration_are_not_reused_silently(tmp_path):
    train = "data/string_task/stage1_level1/train.parquet"
    config = ["--config", "datasets={stage1_level1: {train: 20, test: 5}}"]

    def start(target, *more, seed=None):
        changes = [f"problems={{seed: {seed}}}"] if seed else []
        done = snakemake(target, "-s", str(ROOT / "Snakefile"), "--cores", "1", *more, *config, *changes, folder=tmp_path)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    assert start("stage1_create_problems")[0] == 0
    records = (tmp_path / ".snakemake").rename(tmp_path / "records")
    code, printed = start("stage1_create_problems", seed=7)
    assert code and "(problems.seed)" in printed
    # The command in the message, and a run that stops before all files are made again.
    cure = shlex.split(printed.partition("start again: ")[2])
    assert cure[:4] == ["snakemake", "all", "-s", str(ROOT / "Snakefile")]
    shutil.rmtree(tmp_path / ".snakemake", ignore_errors=True)
    records.rename(tmp_path / ".snakemake")
    assert start(train, seed=7)[0] == 0
    records = (tmp_path / ".snakemake").rename(tmp_path / "records")
    for seed in (None, 7):
        code, printed = start("stage1_create_problems", "--dry-run", seed=seed)
        assert code and "(problems.seed)" in printed and "--touch" not in printed
    config_json = (tmp_path / "results/config.json").rename(tmp_path / "config.json")
    code, printed = start("stage1_create_problems", "--dry-run", seed=7)
    assert code == 0 and "taken for current" in printed and "Nothing to be done" in printed
    shutil.rmtree(tmp_path / ".snakemake", ignore_errors=True)
    records.rename(tmp_path / ".snakemake")
    config_json.rename(tmp_path / "results/config.json")
    assert (tmp_path / "results/changed_keys.json").exists()
    code, printed = start("stage1_create_problems", seed=7)
    assert code == 0 and "taken for current" not in printed and not (tmp_path / "results/changed_keys.json").exists()
