"""Versions of what a run is made with."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fofg
from fofg.data.files import write_text
from fofg.report.tables import markdown

PACKAGES = (
    "snakemake",
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "datasets",
    "safetensors",
    "vllm",
    "verl",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "PyYAML",
    "matplotlib",
)


def installed() -> dict[str, str]:
    """Versions of Python, fofg and the packages it uses, in a fixed order, none imported; what is missing is left out."""
    found = {"python": platform.python_version(), "fofg": fofg.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_versions(path: str | Path, packages: dict[str, str]) -> None:
    """Writes versions as a table in Markdown, in the order of ``installed``, other packages after."""
    order = ["python", "fofg", *PACKAGES]
    rows = sorted(packages.items(), key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]))
    write_text(path, f"# Versions\n\n{markdown(['package', 'version'], [list(row) for row in rows])}")
