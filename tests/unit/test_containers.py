"""The two definitions of an image make the same environment, the one of `make env-gpu`, from files that are there."""

import re
import shlex
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"


def docker() -> dict[str, list[str]]:
    """Instruction -> what follows it, in order, without comments; continued lines are one."""
    text = re.sub(r"^\s*#.*\n", "", (ENVS / "gpu.Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(str.strip, text.splitlines()):
        instruction, rest = line.split(maxsplit=1)
        found.setdefault(instruction, []).append(" ".join(rest.split()))
    return found


def apptainer() -> dict[str, list[str]]:
    """Section, or key of the header -> its lines, without comments."""
    header, *sections = re.split(r"^%", (ENVS / "gpu.def").read_text(), flags=re.MULTILINE)
    found = {key: [value] for key, value in re.findall(r"^(\w+): (.+)$", header, flags=re.MULTILINE)}
    for section in sections:
        name, *lines = section.splitlines()
        found[name] = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return found


def docker_commands() -> list[str]:
    return [command.strip() for run in docker()["RUN"] for command in run.split("&&")]


def test_both_start_from_the_same_pinned_python():
    assert apptainer()["Bootstrap"] == ["docker"]
    assert apptainer()["From"] == docker()["FROM"]
    (base,) = docker()["FROM"]
    python = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-bookworm", base)
    dependencies = yaml.safe_load((ENVS / "gpu.yaml").read_text())["dependencies"]
    assert python and f"python ={python[1]}" in dependencies


def test_both_run_the_same_commands():
    plain = [command.replace("{{ PIP_ARGS }}", "$PIP_ARGS") for command in apptainer()["post"]]
    assert plain == docker_commands()
    assert apptainer()["arguments"] == docker()["ARG"] == ["PIP_ARGS="]


def test_both_set_the_same_variables():
    exported = [line.removeprefix("export ") for line in apptainer()["environment"]]
    assert exported == [pair for line in docker()["ENV"] for pair in line.split()]


def test_images_install_the_packages_of_make_env_gpu():
    make = ["make", "--dry-run", "--what-if=envs/gpu.txt", "env-gpu", "UV=", "PIP_ARGS=$$PIP_ARGS"]
    commands = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = re.search(r"^\.venv-gpu/bin/(pip install .*envs/gpu\.txt)$", commands, flags=re.MULTILINE)
    assert command
    (copy,) = docker()["COPY"]
    source, destination = copy.split()
    (install,) = (command for command in docker_commands() if "pip install" in command)
    words = [word for word in shlex.split(install) if word != "--no-cache-dir"]  # it only makes the image smaller
    assert [source if word == destination else word for word in words] == command[1].split()


def test_both_copy_the_files_that_docker_is_given():
    assert apptainer()["files"] == docker()["COPY"]
    ignored, *kept = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "*"
    assert [f"!{copy.split()[0]}" for copy in docker()["COPY"]] == kept
    assert all((ROOT / copy.split()[0]).is_file() for copy in docker()["COPY"])
