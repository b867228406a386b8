"""The two descriptions of the environment agree, and the tests run in it."""

from importlib.metadata import version
from pathlib import Path

import yaml

ENVS = Path(__file__).parents[2] / "envs"


def pins(name: str) -> list[str]:
    return [line for line in (ENVS / name).read_text().splitlines() if line and not line.startswith("#")]


def test_conda_and_pip_install_the_same():
    dependencies = yaml.safe_load((ENVS / "cpu.yaml").read_text())["dependencies"]
    assert dependencies[-1]["pip"] == pins("torch.txt") + pins("cpu.txt")


def test_the_pinned_versions_are_the_installed_ones():
    wanted = dict(pin.split("==") for pin in pins("torch.txt") + pins("cpu.txt"))
    installed = {name: version(name).partition("+")[0] for name in wanted}
    assert installed == {name: pin.partition("+")[0] for name, pin in wanted.items()}
