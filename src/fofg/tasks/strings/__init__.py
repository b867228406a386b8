"""Compositions of string functions, the task of the paper."""

from fofg.tasks.strings.grading import grade
from fofg.tasks.strings.string_task import Strings

__all__ = ["Strings", "grade"]
