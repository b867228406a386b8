"""Functions that pre-training knows: the paper's 25 and 20 others of the same style.

The others are ``func_25`` ... ``func_44``. Only these are ever shown to the model without definitions, so it learns that functions
can be recalled, while the paper's 25 stay unknown to it, and so does any function added to the string task later.
"""

from collections.abc import Callable
from functools import cache
from itertools import islice

from fofg.tasks.strings.declarations import Declaration, Integer, Letters, Parameter, source
from fofg.tasks.strings.functions import DECLARED, PUBLIC_NAMES

#: Readable name -> what the function declares: the 25, and all 45.
PAPER: dict[str, Declaration] = dict(islice(DECLARED.items(), 25))
ALL: dict[str, Declaration] = dict(PAPER)
#: Readable name -> callable, the 20 others.
OTHERS: dict[str, Callable[..., str]] = {}
#: Readable name -> ``func_N``, all 45.
NAMES = {name: PUBLIC_NAMES[name] for name in PAPER}


def other_function(
    *, gloss: str, parameter: Parameter | None = None, operands: int = 1
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Declare a function that only pre-training uses."""

    def declare(function: Callable[..., str]) -> Callable[..., str]:
        name = function.__name__
        NAMES[name] = f"func_{len(ALL)}"
        OTHERS[name], ALL[name] = function, Declaration(function, parameter, operands, gloss=gloss)
        return function

    return declare


@other_function(gloss="drops the first")
def drop_first(s):
    return s[1:]


@other_function(parameter=Integer(2, 4), gloss="takes the end")
def take_last(s, n):
    return s[-n:]


@other_function(gloss="takes every other")
def every_other(s):
    return s[::2]


@other_function(gloss="takes the second of each pair")
def second_chars(s):
    return s[1::2]


@other_function(gloss="sorts downwards")
def sort_descending(s):
    return "".join(sorted(s, reverse=True))


@other_function(gloss="keeps first occurrences")
def unique_chars(s):
    return "".join(dict.fromkeys(s))


@other_function(gloss="swaps the ends")
def swap_ends(s):
    if len(s) < 2:
        return s
    return s[-1] + s[1:-1] + s[0]


@other_function(gloss="swaps neighbours")
def swap_pairs(s):
    return "".join(s[i : i + 2][::-1] for i in range(0, len(s), 2))


@other_function(gloss="swaps the halves")
def swap_halves(s):
    half = len(s) // 2
    return s[half:] + s[:half]


@other_function(parameter=Integer(2, 4), gloss="reverses the front")
def reverse_front(s, n):
    return s[:n][::-1] + s[n:]


@other_function(parameter=Letters(1, 2), gloss="wraps")
def wrap_with(s, edge):
    return edge + s + edge


@other_function(parameter=Letters(2, 3), gloss="inserts in the middle")
def insert_middle(s, mid):
    half = len(s) // 2
    return s[:half] + mid + s[half:]


@other_function(parameter=Letters(1, 3), gloss="replaces the first")
def replace_first(s, new):
    return new + s[1:]


@other_function(parameter=Integer(2, 4), gloss="stretches the end")
def stretch_end(s, n):
    return s + s[-1:] * n


@other_function(gloss="doubles vowels")
def double_vowels(s):
    return "".join(c * 2 if c in "aeiouAEIOU" else c for c in s)


@other_function(gloss="masks vowels")
def mask_vowels(s):
    return "".join("*" if c in "aeiouAEIOU" else c for c in s)


@other_function(gloss="flips the alphabet")
def flip_alphabet(s):
    return "".join(chr(219 - ord(c)) if "a" <= c <= "z" else c for c in s)


@other_function(gloss="appends the length")
def append_length(s):
    return s + str(len(s))


@other_function(operands=2, gloss="appends the reverse")
def append_reversed(s1, s2):
    return s1 + s2[::-1]


@other_function(operands=2, gloss="swaps initials")
def swap_initials(s1, s2):
    return s2[:1] + s1[1:] + s1[:1] + s2[1:]


#: Readable name, or operator of an expression -> what a worked answer says that it does.
GLOSSES = {name: declared.gloss for name, declared in ALL.items()} | {
    "+": "joins",
    ".upper": "makes upper case",
    ".lower": "makes lower case",
    ".capitalize": "capitalizes",
    ".swapcase": "swaps case",
}


@cache
def body(function: str) -> str:
    """Return a function's source without ``def`` and the name: from the opening bracket on, no trailing newline."""
    return source(ALL[function].function).removeprefix(f"def {function}")
