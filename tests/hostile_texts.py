"""Responses that a careless parser would hang on, or execute."""

import subprocess
import sys

#: Name -> prefix, repeated part, suffix.
SHAPES = {
    "open braces": ("", "{", ""),
    "closing braces": ("{", "}", ""),
    "pairs": ("", "{}", ""),
    "objects": ("", '{"output": 1} ', ""),
    "broken objects": ("", '{"output": 1,} ', "{"),
    "opened objects": ("", '{"output": ', "1}"),
    "opened quotes": ("", '{"', "}"),
    "opened braces with space": ("", "{ ", '"output": 1}'),
    "one brace, much space": ("{", " ", '"output": 1}'),
    "deep list": ('{"output": ', "[", "1}"),
    "unclosed string": ('{"output": "', "a", ""),
    "unclosed string in braces": ('{"output": "', "a", "}"),
    "escaped quotes and a literal": ('{"output": "', '\\"', "True}"),
    "backslashes": ('{"output": "', "\\", 'True"}'),
    "literals": ('{"output": [', "True, ", "None]}"),
    "quotes": ("{", '"', "None}"),
    "backticks": ("{", "`", "}"),
    "fences": ("", "```json", "{}"),
    "closed fences": ("", "```json{```", "{}"),
    "boxes": ("", "\\boxed{", "}"),
    "closed boxes": ("", "\\boxed{}", "{"),
    "brackets in a box": ("\\boxed{", "\\left\\right", "}"),
    "closed thoughts": ("", "<think></think>", "{}"),
    "open thoughts": ("{}", "</think><think>", ""),
    "escaped braces": ("", "\\{", "\\}"),
    "round brackets": ('{"output": ', "(", "}"),
    "digits": ('{"output": ', "9", "}"),
    "many long integers": ('{"output": [', "9" * 640 + ",", "9]}"),
    "fraction": ('{"output": 0.', "0", "1}"),
    "exponent": ('{"output": 1e', "9", "}"),
    "keys": ("{", '"output": 1, ', '"output": 2}'),
    "newlines": ("{", "\n", '"output": 1}'),
    "lone surrogates": ('{"output": "', "\ud800", '"}'),
    "escaped surrogates": ('{"output": "', "\\ud800", '"}'),
    "null characters": ('{"output": "', "\0", '"}'),
}


def text_of(shape, size):
    prefix, part, suffix = SHAPES[shape]
    return prefix + part * (size // len(part)) + suffix


CODE = [
    "__import__('os').system('echo executed')",
    "open('/tmp/executed', 'w')",
    "exec('1')",
    "().__class__.__bases__[0].__subclasses__()",
    "[True for _ in iter(int, 1)]",
]


def code_as_answers() -> list[str]:
    """Return responses whose answer is code, in every form of an answer."""
    frames = ["{%s}", '{"output": %s}', "```json\n{'output': %s}\n```", "\\boxed{%s}", '{"output": "%s", "ok": True,}', "{ (%s)}"]
    return [frame % code for frame in frames for code in CODE]


#: Warm up, then record the audit events of all calls.
GUARD = """
import sys
{setup}
read('{{"output": True}} (')
seen = []
sys.addaudithook(lambda event, arguments: seen.append(event))
for text in sys.argv[1:]:
    read(text)
del text
print([event for event in seen if event.split('.')[0] in
       ('compile', 'exec', 'import', 'open', 'os', 'subprocess', 'marshal', 'pickle', 'ctypes', 'socket')])
"""


def assert_nothing_is_executed(setup: str, texts: list[str]) -> None:
    """Read texts with the function ``read`` that ``setup`` defines; neither code nor files are touched."""
    done = subprocess.run([sys.executable, "-c", GUARD.format(setup=setup), *texts], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
