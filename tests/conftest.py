"""Fixtures of all tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Folder of a small Llama with random weights and a character tokenizer."""
    import tiny_model

    return tiny_model.make(tmp_path_factory.mktemp("tiny-model"))
