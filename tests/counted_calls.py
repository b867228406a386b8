"""A clock that no load of the machine disturbs."""

import sys


def calls(function, *arguments):
    """How many functions, Python's and C's, a call enters."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return count
