"""Changed configurations and parameters, in words."""

import json

from hypothesis import given
from hypothesis import strategies as st

from fofg.changes import differences, flat, of_parameters

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)
SPECS = st.dictionaries(st.text("abc", min_size=1), VALUES)


@given(SPECS, SPECS)
def test_specs_differ_where_their_flat_keys_do(old, new):
    pairs = differences(old, new)
    assert (pairs == {}) == (flat(old) == flat(new))
    assert differences(new, old) == {key: pair[::-1] for key, pair in pairs.items()}
    assert {**flat(old), **{key: pair[1] for key, pair in pairs.items()}}.items() >= flat(new).items()


def texts(*values):
    return {repr(json.dumps(value) if isinstance(value, dict) else value) for value in values}


def test_changed_parameters_are_told_by_key_with_long_values_cut():
    old = {"code": 3, "rl": {"learning_rate": 2e-4, "betas": [0.9, 0.999]}, "phases": [{"steps": 3, "mixture": {"a": 1}}]}
    new = {"code": 3, "rl": {"learning_rate": 1e-4, "betas": [0.9, 0.95]}, "phases": [{"steps": 4, "mixture": {"a": 1}}]}
    changed = ["rl.learning_rate 0.0002 → 0.0001", "rl.betas [0.9, 0.999] → [0.9, 0.95]", "phases.0.steps 3 → 4"]
    assert of_parameters(texts(old), texts(new)) == changed
    assert of_parameters(texts(["a", "b"]), texts(["a"])) == ['parameters ["a", "b"] → ["a"]']
    assert of_parameters(texts({"template": "x" * 500}), texts({}))[0] == f'template "{"x" * 56}... → (none)'
    assert of_parameters({"<not Python>"}, set()) == ['parameters "<not Python>" → ']
