"""A run is the same under any spelling of its folder and with its model moved; files without a record are not current."""

import shutil

import pytest
from checkouts import TARGETS, Checkout
from test_exact_reruns import PROBLEMS, count

pytestmark = pytest.mark.slow


@pytest.fixture
def seed(tmp_path):
    path = tmp_path / "seed.yaml"
    path.write_text("problems: {seed: 7}\n")
    return path


def test_another_spelling_of_the_folder_is_the_same_run(finished, seed, tmp_path):
    spelled = tmp_path / "spelled.yaml"
    spelled.write_text(f"run_dir: {finished.folder}/data/../\n")
    assert finished.stale([spelled]) == {}
    assert finished.stale([spelled, seed]) == count(PROBLEMS)


def test_the_same_model_in_another_folder_reruns_nothing_but_the_summary_that_names_it(finished, tmp_path):
    shutil.copytree(finished.folder / "resources/tiny-base", tmp_path / "moved")
    moved = tmp_path / "moved.yaml"
    moved.write_text(f"base_model: {tmp_path}/moved\n")
    assert finished.stale([moved]) == {"write_summary": 1}


def test_a_run_copied_without_snakemakes_records_is_compared_with_its_configuration(finished, seed, tmp_path):
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
    # What the message says to do.
    copied.run(*TARGETS, "--touch", "--forceall", overlays=["results/config.json"])
    assert copied.stale() == {}
    assert copied.stale([seed]) == count(PROBLEMS)
