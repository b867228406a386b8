"""Count function calls: a measure of work that does not depend on the machine's load."""

import sys


def calls(function, *arguments):
    """Return the number of function calls, Python's and C's, that a call makes."""
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
