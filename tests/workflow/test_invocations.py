"""Ways to start the workflow: without an activated environment, from another folder, as a module of another workflow."""

import os
import subprocess
import sys
from pathlib import Path

import forked
import pyarrow.parquet as pq
import pytest
from checkouts import ROOT

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
PROBLEMS = "data/string_task/stage1_level1/train.parquet"
MINE = "datasets: {stage1_level1: {train: 20, test: 5}}\n"
MODULE = f"""
configfile: "mine.yaml"


module fofg:
    snakefile:
        "{ROOT}/Snakefile"
    config:
        config["fofg"]


use rule * from fofg as fofg_*


onstart:
    fofg.onstart()


rule mine:
    default_target: True
    input:
        rules.fofg_stage1_create_problems.input,
    output:
        "mine.txt",
    shell:
        "python mine.py > {{output}}"
"""


@pytest.fixture
def snakemake(tmp_path):
    """Run Snakemake in a folder outside the checkout; another Python, without packages, is first on PATH."""
    folder, programs = tmp_path / "elsewhere", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    program(programs / "python", 'echo "another Python"')
    others = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != SNAKEMAKE.parent]
    environment = {"HOME": os.environ["HOME"], "PATH": os.pathsep.join([str(programs), *others]), "PWD": str(folder)}

    def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess:
        command = [*map(str, arguments), "--cores", "2"]
        if {"--dry-run", "--list-target-rules"} & {*command}:
            return forked.snakemake(command, folder, environment | variables)
        return subprocess.run([SNAKEMAKE, *command], cwd=folder, env=environment | variables, capture_output=True, text=True)

    run.folder = folder
    return run


def program(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def test_a_run_in_another_folder_uses_the_checkouts_files_and_snakemakes_python(snakemake):
    (snakemake.folder / "mine.yaml").write_text(MINE)
    done = snakemake("stage1_create_problems", "-s", ROOT / "Snakefile", "--configfile", "mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pq.read_metadata(snakemake.folder / PROBLEMS).num_rows == 20
    assert (snakemake.folder / "results/config.json").exists()
    more = ("-s", ROOT / "Snakefile", "--configfile", "mine.yaml", "--workflow-profile", "slurm")
    planned = snakemake("all", "--dry-run", "--printshellcmds", *more)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert f"--model {ROOT}/resources/tiny-base\n" in planned.stdout


def test_directory_and_fofg_python_are_respected(snakemake, tmp_path):
    (snakemake.folder / "mine.yaml").write_text(MINE)
    (tmp_path / "there").mkdir()
    program(tmp_path / "named", f'echo "$1" >> {tmp_path}/ran; exec {sys.executable} "$@"')
    snakefile = os.path.relpath(ROOT / "Snakefile", snakemake.folder)
    arguments = ("stage1_create_problems", "-s", snakefile, "--directory", "../there", "--configfile", "mine.yaml")
    done = snakemake(*arguments, "--dry-run", FOFG_PYTHON=str(tmp_path / "missing"))
    assert done.returncode == 1 and f"FOFG_PYTHON: no program {tmp_path / 'missing'}" in done.stdout + done.stderr
    done = snakemake(*arguments, FOFG_PYTHON=str(tmp_path / "named"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert pq.read_metadata(tmp_path / "there" / PROBLEMS).num_rows == 20
    assert not (snakemake.folder / "data").exists()
    ran = (tmp_path / "ran").read_text().splitlines()
    assert f"{ROOT}/workflow/scripts/create_problems.py" in ran


def test_a_module_takes_an_overlay_and_leaves_other_rules_their_python(snakemake):
    (snakemake.folder / "Snakefile").write_text(MODULE)
    (snakemake.folder / "mine.yaml").write_text("fofg: {run_dir: run, datasets: {stage1_level1: {train: 20, test: 5}}}\n")
    done = snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert pq.read_metadata(snakemake.folder / "run" / PROBLEMS).num_rows == 20
    assert (snakemake.folder / "run/results/config.json").exists()
    assert (snakemake.folder / "mine.txt").read_text() == "another Python\n"
    assert snakemake("fofg_all", "--dry-run").returncode == 0


def test_a_module_prefix_is_an_error(snakemake):
    (snakemake.folder / "Snakefile").write_text(MODULE.replace("    config:\n", '    prefix:\n        "mine"\n    config:\n'))
    (snakemake.folder / "mine.yaml").write_text("fofg: {}\n")
    done = snakemake("--dry-run")
    assert done.returncode == 1
    assert "module: prefix and replace_prefix do not reach paths in commands; set run_dir" in done.stdout + done.stderr


@pytest.mark.parametrize(("image", "own"), [("null", True), ("docker://an/image", False)], ids=["no image", "image"])
def test_jobs_in_an_image_use_its_python(snakemake, image, own):
    """Snakemake passes the prefix of all commands to the shell in the image, where the host's Python does not exist."""
    lines = 'print("function:", fofg.PYTHON in fofg.PREFIX)\n'
    (snakemake.folder / "Snakefile").write_text(MODULE + lines)
    (snakemake.folder / "mine.yaml").write_text(f"fofg: {{container: {image}}}\n")
    done = snakemake("--list-target-rules", "--sdm", "apptainer")
    assert f"function: {own}" in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_cure_of_a_damaged_file_depends_on_who_made_it(snakemake):
    """A damaged file of a rule should be removed, the user's own replaced. Other workflows do not get the list of own files."""
    (snakemake.folder / "Snakefile").write_text(MODULE + 'print("set:", "FOFG_OWN_FILES" in os.environ)\n')
    made = snakemake.folder / "data/string_task/stage2_level1to2/train.parquet"
    made.parent.mkdir(parents=True)
    own = snakemake.folder / "my own.parquet"
    for path in (made, own):
        path.write_text("damaged")
    dataset = "{dataset: stage2_level1to2, num_iterations: 1, examples_per_iteration: 2}"
    for use, path, cure in (("null", made, "remove it and run again"), (f"'{own}'", own, "replace it with an undamaged one")):
        (snakemake.folder / "mine.yaml").write_text(f"fofg: {{stage2: {{rft: {dataset}}}, use: {{stage2_rft_problems: {use}}}}}\n")
        done = snakemake("data/string_task/stage2_level2_rft/0.parquet")
        printed = done.stdout + done.stderr
        assert done.returncode and ("set: False" in printed or path == own), printed  # one's own is found before any job
        assert path.name in printed and cure in printed, printed
        path.unlink()
