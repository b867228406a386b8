"""Packages that no environment of the project has, installed in a folder of their own."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def install(pytestconfig, name: str, pins: Mapping[str, Sequence[str]]) -> Path:
    """Return a folder with packages; ``pins``: file of pinned requirements -> packages. Skip the test without a package index."""
    folder = pytestconfig.cache.mkdir(name)
    chosen = [
        re.search(rf"^{package}==(?:[^\n]+\\\n)*[^\n]+\n", (ROOT / file).read_text(), re.MULTILINE)[0]
        for file, packages in pins.items()
        for package in packages
    ]
    (folder / "requirements.txt").write_text("".join(chosen))
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", "--target", str(folder), "--upgrade"]
    done = subprocess.run([*command, "-r", str(folder / "requirements.txt")], capture_output=True, text=True)
    if done.returncode and re.search("connection|timed out|name resolution", done.stderr, re.IGNORECASE):
        pytest.skip(f"the package index can't be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder
