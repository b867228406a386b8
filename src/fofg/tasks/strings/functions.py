"""The 25 string functions of the paper (Appendix A), under their readable names.

The source of a function is what a prompt shows as its definition, so each is short, stands alone, and reads the same once it is
called ``func_N``. String operands come first, parameters after them.
"""


def deterministic_shuffle(s):
    step = 3
    while len({i * step % len(s) for i in range(len(s))}) < len(s):
        step += 2
    return "".join(s[i * step % len(s)] for i in range(len(s)))


def repeat_str(s, n):
    return s * n


def remove_vowels(s):
    return "".join(c for c in s if c not in "aeiouAEIOU")


def sort_chars(s):
    return "".join(sorted(s))


def reverse_words(s):
    return " ".join(reversed(s.split()))


def add_prefix(s, pre):
    return pre + s


def add_suffix(s, suf):
    return s + suf


def interlace_str(s1, s2):
    n = min(len(s1), len(s2))
    return "".join(a + b for a, b in zip(s1, s2)) + s1[n:] + s2[n:]


def rotate_str(s, n):
    n = n % len(s) if s else 0
    return s[n:] + s[:n]


def mirror_str(s):
    return s + s[::-1]


def alternate_case(s):
    return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(s))


def shift_chars(s, shift):
    out = ""
    for c in s:
        for first in "aA":
            if 0 <= ord(c) - ord(first) < 26:
                c = chr((ord(c) - ord(first) + shift) % 26 + ord(first))
                break
        out += c
    return out


def vowel_to_number(s):
    return "".join(str("aeiou".index(c.lower()) + 1) if c in "aeiouAEIOU" else c for c in s)


def insert_separator(s, sep):
    return sep.join(s)


def duplicate_every_char(s):
    return "".join(c + c for c in s)


def fancy_brackets(s):
    return "".join("«" + c + "»" for c in s)


def compress_repeats(s):
    return "".join(c for i, c in enumerate(s) if i == 0 or c != s[i - 1])


def recursive_reverse(s):
    return s[::-1]


def loop_concat(s, n):
    out = ""
    for _ in range(n):
        out += s
    return out


def while_rotate(s, n):
    while n > 0:
        s, n = s[1:] + s[:1], n - 1
    return s


def recursive_interlace(s1, s2):
    out = ""
    while s1 and s2:
        out, s1, s2 = out + s1[0] + s2[0], s1[1:], s2[1:]
    return out + s1 + s2


def loop_filter_nonalpha(s):
    return "".join(c for c in s if c.isalpha())


def verify_even_length(s):
    return s[:-1] if len(s) % 2 else s


def backchain_add_digit(s, depth):
    if depth < 1 or any(c.isdigit() for c in s):
        return s
    return s + "1"


def backchain_palindrome(s, depth):
    while depth > 0 and s != s[::-1]:
        s, depth = s + s[::-1], depth - 1
    return s


_IN_ORDER = (
    deterministic_shuffle,
    repeat_str,
    remove_vowels,
    sort_chars,
    reverse_words,
    add_prefix,
    add_suffix,
    interlace_str,
    rotate_str,
    mirror_str,
    alternate_case,
    shift_chars,
    vowel_to_number,
    insert_separator,
    duplicate_every_char,
    fancy_brackets,
    compress_repeats,
    recursive_reverse,
    loop_concat,
    while_rotate,
    recursive_interlace,
    loop_filter_nonalpha,
    verify_even_length,
    backchain_add_digit,
    backchain_palindrome,
)

#: Readable name -> callable.
FUNCTIONS = {function.__name__: function for function in _IN_ORDER}
#: Readable name -> the name that prompts show.
PUBLIC_NAMES = {name: f"func_{i}" for i, name in enumerate(FUNCTIONS)}
#: The name that prompts show -> readable name.
READABLE_NAMES = {public: name for name, public in PUBLIC_NAMES.items()}
#: Functions with two string operands; all others take one, then at most one parameter.
TWO_OPERANDS = frozenset({"interlace_str", "recursive_interlace"})
#: Functions whose operands are followed by a parameter -> its type.
PARAMETERS = {
    "repeat_str": int,
    "add_prefix": str,
    "add_suffix": str,
    "rotate_str": int,
    "shift_chars": int,
    "insert_separator": str,
    "loop_concat": int,
    "while_rotate": int,
    "backchain_add_digit": int,
    "backchain_palindrome": int,
}
