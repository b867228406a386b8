"""The Docker and the Apptainer definition make the same image: the environment of `make env-gpu`."""

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


def test_both_definitions_make_the_same_image():
    one, other = docker(), apptainer()
    assert other["Bootstrap"] == ["docker"] and other["From"] == one["FROM"]
    assert [command.replace("{{ PIP_ARGS }}", "$PIP_ARGS") for command in other["post"]] == docker_commands()
    assert other["arguments"] == one["ARG"] == ["PIP_ARGS="]
    assert [line.removeprefix("export ") for line in other["environment"]] == [pair for line in one["ENV"] for pair in line.split()]
    assert other["files"] == one["COPY"]


def test_the_image_has_the_python_and_the_packages_of_make_env_gpu():
    (base,) = docker()["FROM"]
    python = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-bookworm", base)
    assert python and f"python ={python[1]}" in yaml.safe_load((ENVS / "gpu.yaml").read_text())["dependencies"]
    make = ["make", "--dry-run", "--what-if=envs/gpu.txt", "env-gpu", "UV=", "PIP_ARGS=$$PIP_ARGS"]
    commands = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    expected = re.findall(r"^\.venv-gpu/bin/(pip install .*envs/\w+\.txt)$", commands, flags=re.MULTILINE)
    sources = {destination: source for source, destination in map(str.split, docker()["COPY"])}
    installs = [shlex.split(command) for command in docker_commands() if "pip install" in command]
    words = [[sources.get(word, word) for word in install if word != "--no-cache-dir"] for install in installs]  # a smaller image
    assert words and words == [command.split() for command in expected]


def test_docker_is_given_the_files_that_it_copies():
    copied = [copy.split()[0] for copy in docker()["COPY"]]
    assert (ROOT / ".dockerignore").read_text().split() == ["*", *(f"!{name}" for name in copied)]
    assert all((ROOT / name).is_file() for name in copied)
