"""A stage whose source changed has a new version, or a recorded reason why its results stay the same."""

import json

import pytest
from record import RECORD, digest

from fofg.stages import SOURCES, VERSIONS


@pytest.mark.parametrize("stage", VERSIONS)
def test_version_stands_for_the_source(stage):
    recorded = json.loads(RECORD.read_text())[stage]
    assert {"version": VERSIONS[stage], "source": digest(stage)} == {key: recorded[key] for key in ("version", "source")}, (
        f"{stage}: raise VERSIONS[{stage!r}] in src/fofg/stages/versions.py if its results change, then run tests/stages/record.py"
    )


def test_every_stage_names_its_source():
    assert SOURCES.keys() == VERSIONS.keys()
