"""A custom string function, declared when this module is imported."""

from fofg.tasks.strings.declarations import Integer
from fofg.tasks.strings.functions import string_function


@string_function(parameter=Integer(1, 3), pool="train", gloss="appends stars")
def append_stars(s, n):
    return s + "*" * n
