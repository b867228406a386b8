"""Fixtures of the workflow's tests."""

import os
import shutil
from pathlib import Path

import pytest
from checkouts import SMALL, TARGETS, Checkout, make_checkout
from filelock import FileLock


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return make_checkout(tmp_path / "fofg")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A finished small run, shared by all pytest-xdist workers. Tests must not change its files; ``copied`` is for that."""
    return run_once(tmp_path_factory, "finished", TARGETS, (SMALL,))


def run_once(tmp_path_factory, name: str, targets: tuple[str, ...], small: tuple[Path, ...]) -> Checkout:
    """Return the finished run of some targets, which the first pytest-xdist worker makes."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    checkout, complete = Checkout(shared / name, small), shared / f"{name}-complete"
    with FileLock(shared / f"{name}.lock"):
        if not complete.exists():
            if checkout.folder.exists():
                pytest.fail("the small run failed in another worker")
            make_checkout(checkout.folder, small).run(*targets)
            if targets == TARGETS:
                add_own_files(checkout.folder)
            complete.touch()
    return checkout


@pytest.fixture
def copied(finished, tmp_path) -> Checkout:
    """A copy of the finished small run, to change and rerun."""
    return copy(finished, tmp_path / "fofg")


def copy(run: Checkout, folder: Path) -> Checkout:
    # Dry runs in other workers rewrite the iocache meanwhile.
    shutil.copytree(run.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("iocache"))
    return Checkout(folder, run.small)


def add_own_files(run: Path) -> None:
    """Copy results of a run to where a user might keep files of their own."""
    shutil.copy(run / "data/string_task/stage1_level1/train.parquet", run / "own.parquet")
    shutil.copytree(run / "data/string_task/stage1_level1/rft_data", run / "own_rft")
    shutil.copytree(run / "checkpoints/string-task/stage1-rft", run / "own_model")
    shutil.copy(run / "data/string_task/stage2_level1/train.parquet", run / "own_stage2.parquet")
    shutil.copy(run / "data/string_task/stage2_level1to8/test.parquet", run / "own_test.parquet")
    shutil.copy(run / "data/string_task/stage2_passk/test.parquet", run / "own_passk.parquet")
