"""Fixtures of the tests with the real vLLM and verl, which run in .venv-engines on a machine without a GPU."""

import os
from pathlib import Path

import problem_sets
import pytest

from fofg import specs
from fofg.data import datasets

# For vLLM's CPU build, before it is loaded: do not bind threads to cores; a small key-value cache (GiB).
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny_base() -> Path:
    """Return the embedded model, which answers Level-1 problems."""
    return ROOT / "resources/tiny-base"


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    """Set up verl's RL trainer without its model."""
    from verl_run import Run

    trainer = Run(tmp_path_factory.mktemp("run"), tiny_model)
    yield trainer
    trainer.close()


@pytest.fixture(scope="session")
def level1(tmp_path_factory) -> Path:
    """Write 64 Level-1 problems with definitions."""
    path = tmp_path_factory.mktemp("problems") / "train.parquet"
    chosen = specs.problems(problem_sets.DEFAULT, "stage1_level1", "train")
    datasets.write(path, chosen.model_copy(update={"rows": 64}))
    return path
