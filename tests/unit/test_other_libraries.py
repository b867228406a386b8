"""Every table survives polars and datasets, which run in a process with packages of their own."""

import os
import subprocess
import sys

import pytest
from side_packages import install
from table_rows import TABLES, rows

from fofg.data.files import read_rows, write_parquet

pytestmark = pytest.mark.slow

PINS = {
    "envs/gpu.txt": ("datasets", "dill", "multiprocess", "xxhash"),
    "tests/polars_packages.txt": ("polars", "polars-runtime-32"),
}
COPY = """
import sys
import polars
from datasets import Dataset
for path in sys.argv[1:]:
    frame, rows = polars.read_parquet(path), Dataset.from_parquet(path, cache_dir=f"{path}.cache")
    frame.write_parquet(f"{path}.polars.parquet")
    frame.write_ndjson(f"{path}.polars.jsonl")
    rows.to_parquet(f"{path}.datasets.parquet")
    rows.to_json(f"{path}.datasets.jsonl")
"""


def test_every_table_survives_polars_and_datasets(pytestconfig, tmp_path):
    folder = install(pytestconfig, "other_libraries", PINS)
    for name, schema in TABLES.items():
        write_parquet(tmp_path / name, schema, [rows(schema)])
    command = [sys.executable, "-c", COPY, *(str(tmp_path / name) for name in TABLES)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    changed = [
        (name, ending)
        for name, schema in TABLES.items()
        for ending in ("polars.parquet", "polars.jsonl", "datasets.parquet", "datasets.jsonl")
        if list(read_rows(tmp_path / f"{name}.{ending}", schema)) != rows(schema)
    ]
    assert changed == [] and len(TABLES) > 10
