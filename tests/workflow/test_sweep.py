"""A sweep runs what its keys change, once, and shares everything else."""

import pandas as pd
import pytest
from test_exact_reruns import write

pytestmark = pytest.mark.slow

ONE_CURRICULUM = {"stage2": {"rl": {"curricula": {"level1": None, "level1to2": None}}}}
TABLE = {"summarize_sweep": 1, "plot_sweep": 1}


def point(models: int) -> dict[str, int]:
    """Return the jobs of a point at which RL trains models."""
    return {"train_rl": models, "generate_held_out_rollouts": 2 * models, "score_held_out": models, "summarize_accuracy": 1}


def test_a_value_of_rl_runs_rl_alone_and_another_one_runs_nothing_twice(copied, tmp_path):
    first, more = (
        write(tmp_path / f"{number}.yaml", ONE_CURRICULUM | {"sweep": {"stage2.rl.learning_rate": values}})
        for number, values in enumerate(([1e-4, 2e-4], [3e-4, 1e-4, 2e-4]))
    )
    shared = {"summarize_accuracy": 2}  # of fewer models than the finished run's
    assert copied.stale([first], targets=["sweep"]) == point(1) | TABLE | shared
    copied.run("sweep", overlays=[first])
    assert copied.stale([first], targets=["sweep"]) == {}
    assert copied.stale([more], targets=["sweep"]) == point(1) | TABLE
    table = pd.read_csv(copied.folder / "results/sweep.csv")
    assert sorted(table["stage2.rl.learning_rate"].unique()) == [1e-4, 2e-4]
    counts = table.groupby(["stage2.rl.learning_rate", "seed", "model", "dataset", "level"]).size()
    assert set(counts) == {1} and len(counts) == 2 * 5 * 8


def test_points_share_the_jobs_that_no_key_of_theirs_changes(finished, tmp_path):
    pools = {"few": {"train": ["sort_chars", "repeat_str"], "test": ["mirror_str"]}, "as_is": None}
    grid = {"stage1.sft.learning_rate": [5e-4, 1e-3], "problems.pools": pools}
    stale = finished.stale([write(tmp_path / "sweep.yaml", {"sweep": grid})], targets=["sweep"])
    # Stage 1 knows no pools; its problems, rollouts and selection no learning rate.
    assert stale["train_sft"] == 1 and not {"generate_rollouts", "select_rft_data"} & stale.keys()
    # Each pair of pools and Stage-1 model but the finished run's.
    assert stale["train_rl"] == 3 * 3 and stale["train_iteration"] == 2 * 3 and stale["summarize_accuracy"] == 3
    # Two chunks of other pools' problems, whatever Stage 1 learned; the base and Stage 1 on new problems, and new models.
    assert stale["create_chunk"] == 2 and stale["generate_held_out_rollouts"] == 2 * (1 + 3 + 3 * (2 + 3))


def test_a_key_that_changes_no_accuracy_is_refused(finished, tmp_path):
    overlay = write(tmp_path / "sweep.yaml", {"sweep": {"stage2.rl.validation.every": [1, 2]}})
    done = finished.run("sweep", "--dry-run", overlays=[overlay], check=False)
    assert done.returncode and "stage2.rl.validation.every changes no accuracy" in done.stdout + done.stderr


def test_cards_are_those_of_the_run_itself(finished, tmp_path):
    overlay = write(tmp_path / "sweep.yaml", {"sweep": {"stage2.rl.learning_rate": [1e-4]}})
    assert finished.stale([overlay], targets=["publish"]) == {"write_model_cards": 1, "write_dataset_cards": 1}
    card = "sweep/stage2.rl.learning_rate=0.0001/checkpoints/string-task/stage2-rl-level2/README.md"
    done = finished.run(card, "--dry-run", overlays=[overlay], check=False)
    assert done.returncode and "no such target" in done.stdout + done.stderr
