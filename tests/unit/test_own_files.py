"""Errors on unusable files: generated files are to be removed, the user's own to be replaced."""

import shutil
from pathlib import Path

import problem_sets
import pytest
from tqdm import tqdm

from fofg.data import datasets, description
from fofg.data.files import write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.specs import RolloutsSpec


def read_shard(path: Path) -> None:
    from fofg.rollouts import shards

    write_parquet(path, PROBLEMS, [problem_rows(2)])
    shards.read_shard(path, RolloutsSpec(engine="e", dtype="auto", rows=9, rollouts=problem_sets.DEFAULT.stage1.rollouts))


def describe(path: Path) -> None:
    write_parquet(path, PROBLEMS, [])
    description.read(path, tqdm(disable=True))


def no_training_problems(path: Path) -> None:
    from fofg.training import prompts

    write_parquet(path, PROBLEMS, [])
    prompts.read(path, problem_sets.DEFAULT.scoring)


def train(path: Path) -> None:
    from fofg.training import modeling

    damage_model(path, "model.safetensors")
    modeling.load(path, 8)


def train_without_a_weight(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from fofg.training import modeling

    damage_model(path)
    weights = load_file(path / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    modeling.load(path, 8)


def sample_with_vllm(path: Path) -> None:
    from fofg.rollouts import vllm_engine

    damage_model(path, "generation_config.json")
    vllm_engine._read(path)


def problem_rows(count: int) -> list[dict]:
    spec = problem_sets.spec("stage1_level1", "train", count, problem_sets.DEFAULT.problems)
    return [row for batch in datasets.batches(spec) for row in batch.to_pylist()]


def damage_model(path: Path, *names: str) -> None:
    import tiny_model

    shutil.move(tiny_model.make(path.parent / "made"), path)
    for name in names:
        (path / name).write_text("{")


USES = [read_shard, describe, no_training_problems, train, train_without_a_weight, sample_with_vllm]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("own", [True, False], ids=["own", "made"])
def test_only_generated_files_are_to_be_removed(tmp_path, monkeypatch, use, own):
    path = tmp_path / "folder" / "thing"
    path.parent.mkdir()
    monkeypatch.setenv("FOFG_OWN_FILES", str(path if own else tmp_path / "else"))
    with pytest.raises(UserError) as error:
        use(path)
    assert str(error.value).startswith(f"{path}: ")
    cures = {True: "replace it with an undamaged one", False: "remove it and run again"}
    assert cures[own] in str(error.value) and cures[not own] not in str(error.value) and "make" not in str(error.value)
