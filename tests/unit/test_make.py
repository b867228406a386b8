"""``make`` and its environments: a Python that does not fit is refused before anything is made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path):
    """Runs make in a fresh checkout, as far as environments go; gives the exit code and what stands on standard error."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON")}

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(["make", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    run.folder = tmp_path
    return run


def python(folder: Path, version: str) -> str:
    """This Python under another version."""
    path = folder / "old-python"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.version_info = ({version}); exec(sys.argv[1])' \"$2\"\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("named", ["", "no-such-python", "3, 10, 13"], ids=["none", "missing", "too old"])
@pytest.mark.parametrize("target", ["env", "stage1_rft", "test"])
def test_a_python_that_does_not_fit_is_refused_in_a_sentence(make, target, named):
    named = python(make.folder, named) if "," in named else named
    before = sorted(make.folder.iterdir())
    code, told = make(target, f"PYTHON={named}")
    assert code
    errors = [line for line in told.splitlines() if not line.startswith("make")]
    assert len(errors) == 1 and errors[0].startswith(f"error: {named or 'there'} is no Python 3.11 or newer"), told
    assert "make PYTHON=/path/to/python" in errors[0]
    assert sorted(make.folder.iterdir()) == before


@pytest.mark.parametrize("named", ["no-such-python", "3, 11, 7"], ids=["missing", "too old"])
@pytest.mark.parametrize("target", ["env-gpu", "env-engines"])
def test_the_environments_of_vllm_and_verl_want_python_3_12(make, target, named):
    named = python(make.folder, named) if "," in named else named
    code, told = make(target, f"PYTHON_GPU={named}")
    assert code and told.startswith(f"error: {named} is no Python 3.12"), told
    assert not list(make.folder.glob(".venv*"))


def test_an_incomplete_checkout_is_named(make):
    (make.folder / "envs/cpu.txt").unlink()
    code, told = make("stage1_rft")
    assert code and "error: no envs/cpu.txt" in told
