"""Fixtures of the workflow's tests."""

import pytest
from checkouts import TARGETS, Checkout, make_checkout


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return make_checkout(tmp_path / "fofg")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A finished small run. Tests leave its files as they are."""
    checkout = make_checkout(tmp_path_factory.mktemp("finished") / "fofg")
    checkout.run(*TARGETS)
    return checkout
