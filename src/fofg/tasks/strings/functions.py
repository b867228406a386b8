"""The 25 string functions of the paper (Appendix A), under their readable names. Add one at the end, with its declaration.

The source of a function is what a prompt shows as its definition, so each is short, stands alone, and reads the same once it is
called ``func_N``. Its docstring is left out unless ``problems.docstrings`` is set. String operands come first, the parameter after
them. The pools (training and held-out functions of Stage 2) are those of the balanced sampler: functions that agree are on one
side. Functions 18 = 1, 8 = 19, 7 = 20, and 9 and 24 differ only on palindromes.
"""

from collections.abc import Callable
from typing import Literal

from fofg.tasks.strings.declarations import Choice, Declaration, Integer, Letters, Need, Parameter

#: Readable name -> callable.
FUNCTIONS: dict[str, Callable[..., str]] = {}
#: Readable name -> the name that prompts show.
PUBLIC_NAMES: dict[str, str] = {}
#: The name that prompts show -> readable name.
READABLE_NAMES: dict[str, str] = {}
#: Readable name -> what the function declares.
DECLARED: dict[str, Declaration] = {}


def string_function(
    *,
    pool: Literal["train", "test"],
    parameter: Parameter | None = None,
    operands: int = 1,
    needs: Need | None = None,
    gloss: str = "",
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Declare a string function (see Declaration). Its public name is ``func_N``, N being the number of functions before it."""

    def declare(function: Callable[..., str]) -> Callable[..., str]:
        name, public = function.__name__, f"func_{len(FUNCTIONS)}"
        FUNCTIONS[name], PUBLIC_NAMES[name], READABLE_NAMES[public] = function, public, name
        DECLARED[name] = Declaration(function, parameter, operands, pool, needs, gloss)
        return function

    return declare


@string_function(pool="test", gloss="strides through")
def deterministic_shuffle(s):
    """Take every third character, wrapping around; every fifth, seventh ... if that would miss some."""
    step = 3
    while len({i * step % len(s) for i in range(len(s))}) < len(s):
        step += 2
    return "".join(s[i * step % len(s)] for i in range(len(s)))


@string_function(parameter=Integer(2, 4, multiplies=True), pool="train", gloss="repeats")
def repeat_str(s, n):
    """Repeat the string n times."""
    return s * n


@string_function(pool="test", needs="vowel", gloss="drops vowels")
def remove_vowels(s):
    """Leave out the vowels."""
    return "".join(c for c in s if c not in "aeiouAEIOU")


@string_function(pool="train", gloss="sorts")
def sort_chars(s):
    """Sort the characters by their code points."""
    return "".join(sorted(s))


@string_function(pool="train", needs="space", gloss="reverses the words")
def reverse_words(s):
    """Put the words in reverse order, one space between them."""
    return " ".join(reversed(s.split()))


@string_function(parameter=Letters(2, 4), pool="train", gloss="adds a prefix")
def add_prefix(s, pre):
    """Put pre in front of the string."""
    return pre + s


@string_function(parameter=Letters(2, 4), pool="test", gloss="adds a suffix")
def add_suffix(s, suf):
    """Put suf behind the string."""
    return s + suf


@string_function(operands=2, pool="test", gloss="interlaces")
def interlace_str(s1, s2):
    """Alternate the characters of both strings, then append the rest of the longer one."""
    n = min(len(s1), len(s2))
    return "".join(a + b for a, b in zip(s1, s2)) + s1[n:] + s2[n:]


@string_function(parameter=Integer(1, 3), pool="train", gloss="rotates left")
def rotate_str(s, n):
    """Move the first n characters to the end."""
    n = n % len(s) if s else 0
    return s[n:] + s[:n]


@string_function(pool="test", gloss="appends the mirror image")
def mirror_str(s):
    """Append the reversed string."""
    return s + s[::-1]


@string_function(pool="test", gloss="alternates case")
def alternate_case(s):
    """Make characters lower and upper case in turn, the first one lower."""
    return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(s))


@string_function(parameter=Integer(1, 5), pool="train", gloss="shifts letters")
def shift_chars(s, shift):
    """Move letters forward in the alphabet, wrapping from z to a; keep other characters."""
    out = ""
    for c in s:
        for first in "aA":
            if 0 <= ord(c) - ord(first) < 26:
                c = chr((ord(c) - ord(first) + shift) % 26 + ord(first))
                break
        out += c
    return out


@string_function(pool="test", needs="vowel", gloss="numbers the vowels")
def vowel_to_number(s):
    """Replace the vowels a, e, i, o, u by 1, 2, 3, 4, 5."""
    return "".join(str("aeiou".index(c.lower()) + 1) if c in "aeiouAEIOU" else c for c in s)


@string_function(parameter=Choice("-_|"), pool="train", gloss="separates")
def insert_separator(s, sep):
    """Put sep between the characters."""
    return sep.join(s)


@string_function(pool="test", gloss="doubles each character")
def duplicate_every_char(s):
    """Write each character twice."""
    return "".join(c + c for c in s)


@string_function(pool="train", gloss="brackets each character")
def fancy_brackets(s):
    """Put each character between « and »."""
    return "".join("«" + c + "»" for c in s)


@string_function(pool="test", needs="repeat", gloss="merges repeats")
def compress_repeats(s):
    """Keep one of equal characters in a row."""
    return "".join(c for i, c in enumerate(s) if i == 0 or c != s[i - 1])


@string_function(pool="train", gloss="reverses")
def recursive_reverse(s):
    """Reverse the string."""
    return s[::-1]


@string_function(parameter=Integer(2, 4, multiplies=True), pool="train", gloss="loops")
def loop_concat(s, n):
    """Join n copies of the string."""
    out = ""
    for _ in range(n):
        out += s
    return out


@string_function(parameter=Integer(1, 3), pool="train", gloss="moves the front to the end")
def while_rotate(s, n):
    """Move the first character to the end, n times."""
    while n > 0:
        s, n = s[1:] + s[:1], n - 1
    return s


@string_function(operands=2, pool="test", gloss="weaves together")
def recursive_interlace(s1, s2):
    """Take a character from each string in turn; when one is used up, append the rest of the other."""
    out = ""
    while s1 and s2:
        out, s1, s2 = out + s1[0] + s2[0], s1[1:], s2[1:]
    return out + s1 + s2


@string_function(pool="test", needs="sign", gloss="keeps letters")
def loop_filter_nonalpha(s):
    """Keep the letters only."""
    return "".join(c for c in s if c.isalpha())


@string_function(pool="train", needs="odd length", gloss="makes the length even")
def verify_even_length(s):
    """Drop the last character of a string of odd length."""
    return s[:-1] if len(s) % 2 else s


@string_function(parameter=Integer(1, 3), pool="train", gloss="makes it hold a digit")
def backchain_add_digit(s, depth):
    """Append 1 if there is no digit; leave the string as it is if depth is 0."""
    if depth < 1 or any(c.isdigit() for c in s):
        return s
    return s + "1"


@string_function(parameter=Integer(1, 3), pool="test", gloss="grows towards a palindrome")
def backchain_palindrome(s, depth):
    """Append the reversed string until the result is a palindrome, at most depth times."""
    while depth > 0 and s != s[::-1]:
        s, depth = s + s[::-1], depth - 1
    return s
