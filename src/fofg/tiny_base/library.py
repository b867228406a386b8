"""Functions that pre-training knows: the paper's 25 and 20 others of the same style, with a gloss for each.

The others are ``func_25`` ... ``func_44``. Only they are ever shown to the model without their definitions, so that it learns that
functions can be recalled, while the 25 stay unknown to it.
"""

import inspect
from collections.abc import Callable
from functools import cache
from random import Random
from string import ascii_lowercase

from fofg.tasks.strings import functions
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES


def drop_first(s):
    return s[1:]


def take_last(s, n):
    return s[-n:]


def every_other(s):
    return s[::2]


def second_chars(s):
    return s[1::2]


def sort_descending(s):
    return "".join(sorted(s, reverse=True))


def unique_chars(s):
    return "".join(dict.fromkeys(s))


def swap_ends(s):
    if len(s) < 2:
        return s
    return s[-1] + s[1:-1] + s[0]


def swap_pairs(s):
    return "".join(s[i : i + 2][::-1] for i in range(0, len(s), 2))


def swap_halves(s):
    half = len(s) // 2
    return s[half:] + s[:half]


def reverse_front(s, n):
    return s[:n][::-1] + s[n:]


def wrap_with(s, edge):
    return edge + s + edge


def insert_middle(s, mid):
    half = len(s) // 2
    return s[:half] + mid + s[half:]


def replace_first(s, new):
    return new + s[1:]


def stretch_end(s, n):
    return s + s[-1:] * n


def double_vowels(s):
    return "".join(c * 2 if c in "aeiouAEIOU" else c for c in s)


def mask_vowels(s):
    return "".join("*" if c in "aeiouAEIOU" else c for c in s)


def flip_alphabet(s):
    return "".join(chr(219 - ord(c)) if "a" <= c <= "z" else c for c in s)


def append_length(s):
    return s + str(len(s))


def append_reversed(s1, s2):
    return s1 + s2[::-1]


def swap_initials(s1, s2):
    return s2[:1] + s1[1:] + s1[:1] + s2[1:]


_OTHERS = (
    drop_first,
    take_last,
    every_other,
    second_chars,
    sort_descending,
    unique_chars,
    swap_ends,
    swap_pairs,
    swap_halves,
    reverse_front,
    wrap_with,
    insert_middle,
    replace_first,
    stretch_end,
    double_vowels,
    mask_vowels,
    flip_alphabet,
    append_length,
    append_reversed,
    swap_initials,
)

#: Readable name -> callable, the 20 others.
OTHERS: dict[str, Callable[..., str]] = {function.__name__: function for function in _OTHERS}
#: Readable name -> callable, all 45.
ALL: dict[str, Callable[..., str]] = {**FUNCTIONS, **OTHERS}
#: Readable name -> ``func_N``, all 45.
NAMES = {**PUBLIC_NAMES, **{name: f"func_{len(FUNCTIONS) + i}" for i, name in enumerate(OTHERS)}}

#: Functions with two string operands; all others take one, then at most one parameter.
TWO_OPERANDS = functions.TWO_OPERANDS | {"append_reversed", "swap_initials"}


def _integer(low: int, high: int) -> Callable[[Random], int]:
    return lambda rng: rng.randint(low, high)


def _letters(low: int, high: int) -> Callable[[Random], str]:
    return lambda rng: "".join(rng.choices(ascii_lowercase, k=rng.randint(low, high)))


#: Readable name -> how its parameter is drawn; functions without a parameter are missing.
PARAMETERS: dict[str, Callable[[Random], str | int]] = {
    "repeat_str": _integer(2, 4),
    "add_prefix": _letters(2, 4),
    "add_suffix": _letters(2, 4),
    "rotate_str": _integer(1, 3),
    "shift_chars": _integer(1, 5),
    "insert_separator": lambda rng: rng.choice("-_|"),
    "loop_concat": _integer(2, 4),
    "while_rotate": _integer(1, 3),
    "backchain_add_digit": _integer(1, 3),
    "backchain_palindrome": _integer(1, 3),
    "take_last": _integer(2, 4),
    "reverse_front": _integer(2, 4),
    "wrap_with": _letters(1, 2),
    "insert_middle": _letters(2, 3),
    "replace_first": _letters(1, 3),
    "stretch_end": _integer(2, 4),
}

#: Readable name, or operator of an expression -> what a worked answer says that it does.
GLOSSES = {
    "deterministic_shuffle": "strides through",
    "repeat_str": "repeats",
    "remove_vowels": "drops vowels",
    "sort_chars": "sorts",
    "reverse_words": "reverses the words",
    "add_prefix": "adds a prefix",
    "add_suffix": "adds a suffix",
    "interlace_str": "interlaces",
    "rotate_str": "rotates left",
    "mirror_str": "appends the mirror image",
    "alternate_case": "alternates case",
    "shift_chars": "shifts letters",
    "vowel_to_number": "numbers the vowels",
    "insert_separator": "separates",
    "duplicate_every_char": "doubles each character",
    "fancy_brackets": "brackets each character",
    "compress_repeats": "merges repeats",
    "recursive_reverse": "reverses",
    "loop_concat": "loops",
    "while_rotate": "moves the front to the end",
    "recursive_interlace": "weaves together",
    "loop_filter_nonalpha": "keeps letters",
    "verify_even_length": "makes the length even",
    "backchain_add_digit": "makes it hold a digit",
    "backchain_palindrome": "grows towards a palindrome",
    "drop_first": "drops the first",
    "take_last": "takes the end",
    "every_other": "takes every other",
    "second_chars": "takes the second of each pair",
    "sort_descending": "sorts downwards",
    "unique_chars": "keeps first occurrences",
    "swap_ends": "swaps the ends",
    "swap_pairs": "swaps neighbours",
    "swap_halves": "swaps the halves",
    "reverse_front": "reverses the front",
    "wrap_with": "wraps",
    "insert_middle": "inserts in the middle",
    "replace_first": "replaces the first",
    "stretch_end": "stretches the end",
    "double_vowels": "doubles vowels",
    "mask_vowels": "masks vowels",
    "flip_alphabet": "flips the alphabet",
    "append_length": "appends the length",
    "append_reversed": "appends the reverse",
    "swap_initials": "swaps initials",
    "+": "joins",
    ".upper": "makes upper case",
    ".lower": "makes lower case",
    ".capitalize": "capitalizes",
    ".swapcase": "swaps case",
}


@cache
def body(function: str) -> str:
    """Source of a function from its opening bracket on: all but ``def`` and its name, no trailing newline."""
    return inspect.getsource(ALL[function]).rstrip().removeprefix(f"def {function}")
