"""Fixtures of all tests."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Tests are small, and two threads that fight for a busy core are ten times slower than one. Before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

# Time decides no test: machines are shared, and hypothesis builds its tables of characters on first use.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Return the folder of a small Llama with random weights and a character tokenizer."""
    import tiny_model

    return tiny_model.make(tmp_path_factory.mktemp("tiny-model"))
