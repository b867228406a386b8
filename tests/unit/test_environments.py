"""Pins in envs/ are those of pyproject.toml and uv.lock, and are installed where tests run; ``make`` needs a fitting Python."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CPU, GPU, VERIFIERS = ["torch.txt", "cpu.txt"], ["gpu.txt"], ["verifiers.txt"]
#: Where the GPU environment is installed.
GPU_MACHINE = {"python_version": "3.12", "python_full_version": "3.12.12", "sys_platform": "linux", "platform_machine": "x86_64"}


def requirements(names: list[str]) -> list[str]:
    """Return the lines of files without hashes."""
    lines = [line for name in names for line in (ENVS / name).read_text().splitlines()]
    return [line.removesuffix("\\").strip() for line in lines if line and line[0] not in "# "]


def pins(names: list[str], machine: dict[str, str] | None = None) -> dict[str, str]:
    """Return the version of every package that the files install on a machine, this one by default."""
    parsed = [Requirement(line) for line in requirements(names)]
    here = [one for one in parsed if one.marker is None or one.marker.evaluate(machine)]
    found = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}
    assert len(found) == len(here), "a package is pinned twice"
    return found


def wanted(*extras: str) -> list[Requirement]:
    """Return what pyproject.toml asks for."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return [one for lines in lists for one in map(Requirement, lines) if one.name != "fofg"]


@pytest.mark.parametrize(
    ("files", "machine", "extras"),
    [(CPU, None, ("cpu", "test", "dev")), (GPU, GPU_MACHINE, ("gpu", "test")), (VERIFIERS, None, ("verifiers", "test"))],
    ids=["cpu", "gpu", "verifiers"],
)
def test_pins_are_what_pyproject_asks_for(files, machine, extras):
    pinned = pins(files, machine)
    wrong = {str(one) for one in wanted(*extras) if not one.specifier.contains(pinned[canonicalize_name(one.name)])}
    assert not wrong, "make lock"


@pytest.mark.parametrize("files", [CPU, GPU, VERIFIERS], ids=["cpu", "gpu", "verifiers"])
def test_pins_are_those_of_the_lock(files):
    locked = {(one["name"], one["version"]) for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if "version" in one}
    pinned = [re.match(r"([\w.-]+)==(\S+)", line).groups() for line in requirements(files)]
    assert {(canonicalize_name(name), number) for name, number in pinned} <= locked, "make lock"


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt"])
def test_every_file_is_known_by_its_hash(name):
    blocks = re.split(r"\n(?=\S)", (ENVS / name).read_text().strip())
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize(("conda", "pip"), [("cpu.yaml", CPU), ("gpu.yaml", GPU)])
def test_conda_and_pip_install_the_same(conda, pip):
    dependencies = yaml.safe_load((ENVS / conda).read_text())["dependencies"]
    assert dependencies[-1]["pip"] == requirements(pip), "make lock"
    (line,) = requirements(["countdown.txt"])
    script = (ENVS / conda).with_suffix(".post-deploy.sh").read_text()
    assert script.splitlines()[-1] == f"pip install --quiet --no-deps {line}"


def test_the_pinned_versions_are_the_installed_ones():
    try:
        files = GPU if version("vllm") else CPU
    except PackageNotFoundError:
        files = CPU
    pinned = {name: pin.partition("+")[0] for name, pin in pins([*files, "countdown.txt"]).items()}
    assert {name: version(name).partition("+")[0] for name in pinned} == pinned


#: A Python of another version, whatever it really is.
OLD = f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10, 1); $2"\n'


@pytest.mark.parametrize("python", ["missing", "old"])
@pytest.mark.parametrize(
    ("target", "variable", "version"),
    [("env", "PYTHON", "3.11 or newer"), ("env-gpu", "PYTHON_GPU", "3.12"), ("env-engines", "PYTHON_GPU", "3.12")],
)
def test_an_unfit_python_is_an_error_in_one_sentence(tmp_path, target, variable, version, python):
    shutil.copytree(ENVS, tmp_path / "envs")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "old").write_text(OLD)
    (tmp_path / "old").chmod(0o755)
    command = ["make", "--no-print-directory", target, f"{variable}=./{python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    (error,) = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]
    assert done.returncode and error.startswith(f"error: ./{python} is no Python {version} with venv")
    assert f"make {variable}=/path/to/python" in error and not list(tmp_path.glob(".venv*"))
