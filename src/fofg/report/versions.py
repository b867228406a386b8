"""Versions of the packages that make a run's results."""

import platform
from importlib.metadata import PackageNotFoundError, version

import fofg
from fofg.report.markdown import markdown

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
    """Return the versions of Python, fofg and the packages it uses, in a fixed order, without importing one; skip missing ones."""
    versions = {"python": platform.python_version(), "fofg": fofg.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def versions_table(packages: dict[str, str]) -> str:
    """Return versions as a table in Markdown, in the order of ``installed``, other packages last."""
    order = ["python", "fofg", *PACKAGES]
    rows = sorted(packages.items(), key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]))
    return f"# Versions\n\n{markdown(['package', 'version'], [list(row) for row in rows])}"
