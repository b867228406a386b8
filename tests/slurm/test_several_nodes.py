"""Training on both nodes of an allocation: torchrun and Ray started by srun, as engine verl does, with CPUs in place of GPUs."""

import json
import re
from pathlib import Path

import pytest
from checkouts import ROOT, SMALL
from cluster import wait_for

from fofg.runtime import subprocesses

pytestmark = pytest.mark.slurm

#: The environment that has verl and Ray; Snakemake itself runs in the other one, which has the plugin for SLURM.
ENGINES = ROOT / ".venv-engines/bin"
STEPS = 30


@pytest.fixture
def on_two_nodes(site, monkeypatch):
    """Submits the training of a model on two nodes."""
    if not (ENGINES / "python").exists():
        pytest.fail("no .venv-engines: make env-engines")
    monkeypatch.setenv("FOFG_PYTHON", str(ENGINES / "python"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def submit(target, **use):
        training = {"nodes": 2, "gpus": 1, "save_every": 1000}
        # The run on one machine has 4 to 7 examples: a step per epoch.
        tuning = {"engine": "standins:sft", "epochs": STEPS, "batch_size": 4}
        stage2 = {"rft": {"sft": tuning}, "rl": {"engine": "standins:rl"}}
        settings = {"training": training, "stage1": {"sft": tuning}, "stage2": stage2, "use": use}
        small = {"mem_mb": 3000}
        cluster = {"grace_period": 60, "resources": {"train_sft": small, "train_rl": small}}
        return site.submit(target, overlays=[SMALL, site.configure("two", cluster=cluster, **settings)])

    return submit


def test_a_program_is_started_once_per_node_of_the_allocation(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    command = subprocesses.on_all_nodes(2, 8, 16)
    assert command[0] == "srun"
    amounts = {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--gpus-per-task=8", "--cpus-per-task=16"}
    assert amounts | {"--kill-on-bad-exit=1"} == set(command[1:])


def test_fine_tuning_by_torchrun_on_two_nodes_is_told_to_stop_and_goes_on(site, alone, on_two_nodes):
    """verl's own trainer, its weights sharded over both nodes; SLURM's signal reaches what srun started, the driver it does not."""
    folder = "checkpoints/string-task/stage1-rft"
    data = str(alone.folder / "data/string_task/stage1_level1/rft_data")
    run = on_two_nodes(f"{folder}/model.safetensors", stage1_rft_data=data)
    job = site.job("train_sft")
    assert site.cluster.ask("squeue", "--noheader", "--job", job, "--format", "%D").strip() == "2"
    said = f"{site.folder}/checkpoints/string-task/.resume/stage1-rft"
    wait_for(lambda: any(path.read_text().count("\n") > 4 for path in Path(said).glob("*/verl.jsonl")), "it does not train", 300)
    site.cluster.ask("scancel", "--signal=URG", job)
    run.wait()

    first, second = (text for _, text in sorted(site.logs("train_sft").items(), key=lambda one: int(one[0])))
    step = re.search(rf"stopped before the time limit after step (\d+) of {STEPS}", first)[1]
    assert 1 <= int(step) < STEPS and f"resuming after step {step} of {STEPS}" in second
    lines = (site.folder / folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))


def test_ray_over_two_nodes_has_the_gpus_of_both(site, alone, on_two_nodes):
    folder = "checkpoints/string-task/stage2-rl-level1"
    model = str(alone.folder / "checkpoints/string-task/stage1-rft")
    run = on_two_nodes(f"{folder}/model.safetensors", stage1_checkpoint=model)
    run.wait()
    workers = [json.loads(line) for line in (site.folder / folder / "metrics.jsonl").read_text().splitlines()]
    assert [worker["rank"] for worker in workers] == [0, 1]
    assert len({worker["node"] for worker in workers}) == 2
    assert {worker["sum"] for worker in workers} == {3.0}
    assert not [line for line in site.cluster.queue("%Z") if line == str(site.folder)]
