"""A SLURM cluster for the session, and checkouts of the project from which runs are submitted to it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from checkouts import SMALL, make_checkout
from cluster import Cluster
from sites import Site


@pytest.fixture(scope="session")
def cluster():
    one = Cluster()
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def alone(cluster, tmp_path_factory):
    """Stage 1 as one machine makes it, without a cluster. Tests leave its files as they are."""
    one = Site(make_checkout(tmp_path_factory.mktemp("alone") / "fofg"), cluster)
    one.local("stage1_rft", overlays=[SMALL])
    return one


@pytest.fixture
def site(cluster, tmp_path):
    """A checkout; what is still in the queue when its test ends is cancelled."""
    one = Site(make_checkout(tmp_path / "fofg"), cluster)
    yield one
    one.end()
