"""Print responses for reading: any text made harmless, long ones cut, the first wrong step marked."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from fofg.evaluation.samples import Response, Sample
from fofg.tasks.task import Outcome

#: Most characters and lines of a text that are shown, of its beginning and its end; and characters of an answer.
HEAD, HEAD_LINES, TAIL, TAIL_LINES, ANSWER = 2000, 40, 1000, 20, 300
MARK = ">"
_NARROWEST = 40


def show(samples: Sequence[Sample], sources: Sequence[str], console: Console, full: bool = False) -> None:
    """Print samples one below the other. ``sources``: what each response is from; ``full``: whole texts, however long.

    On a terminal the first wrong step is in color; everywhere a line of it begins with MARK, which no other line does.
    """
    for number, sample in enumerate(samples):
        if number:
            console.print()
        level = "" if sample.level is None else f", level {sample.level}"
        title = f"-- problem {sample.number}{level} "
        _print(console, title + "-" * max(0, _width(console) - len(title)), style="bold")
        _print_problem(console, sample, full)
        for source, response in zip(sources, sample.responses, strict=True):
            console.print()
            if response is None:
                _print(console, f"{source}: no such problem", style="bold")
            else:
                _print_response(console, source, response, full)


def harmless(text: str) -> str:
    """Return a text whose characters are printable: control characters, escapes and the like as Python writes them."""
    return text if text.isprintable() else "".join(map(_printable, text))


def cut(text: str, full: bool = False) -> Iterator[tuple[int | None, str]]:
    """Yield the numbered lines of a text. Of a long one, its middle is left out, and a line without a number tells how much."""
    head, tail = text, ""
    if not full:
        head = "\n".join(text[:HEAD].split("\n")[:HEAD_LINES])
        tail = "\n".join(text[-TAIL:].split("\n")[-TAIL_LINES:])
        if len(head) + len(tail) >= len(text):
            head, tail = text, ""
    yield from enumerate(head.split("\n"))
    if left_out := len(text) - len(head) - len(tail):
        yield None, f"[{left_out:,} characters left out; fofg show --full shows them]"
        first = text.count("\n", 0, len(text) - len(tail))
        yield from enumerate(tail.split("\n"), first)


def short(text: str) -> str:
    """Return the beginning of an answer or a remark, and how much of it is missing."""
    return text if len(text) <= ANSWER else f"{text[:ANSWER]} [{len(text) - ANSWER:,} characters left out]"


def ending(response: Response) -> str:
    """Return why a response ended, and its tokens."""
    reason = f"finish reason {response.finish_reason or 'unknown'}"
    return reason if response.tokens is None else f"{reason}, {response.tokens} tokens"


def solution(sample: Sample) -> tuple[Sequence[str], str | None]:
    """Return the true trace of a problem, empty if its task has none, and its right answer; None without a ground truth."""
    for response in sample.responses:
        if response and response.explanation:
            return response.explanation.trace, response.explanation.expected
    return (), sample.problem and sample.problem.output


def _print_problem(console: Console, sample: Sample, full: bool) -> None:
    for message in sample.prompt:
        _print(console, f"prompt ({message['role']})", style="bold")
        _print_lines(console, message["content"], full)
    trace, expected = solution(sample)
    if trace:
        _print(console, "true trace", style="bold")
        _print_lines(console, "\n".join(map(harmless, trace)), full)
    if expected:
        _print_fact(console, "right answer", expected)


def _print_response(console: Console, source: str, response: Response, full: bool) -> None:
    verdict = response.outcome.value if response.outcome else "no verdict"
    failure = response.failure if response.failure and response.failure.replace("_", " ") != verdict else ""
    facts = [response.name, verdict, failure, ending(response)]
    style = {None: "bold", Outcome.CORRECT: "bold green"}.get(response.outcome, "bold red")
    _print_fact(console, source, ", ".join(filter(None, facts)), style)
    explanation = response.explanation
    _print_lines(console, response.text, full, explanation.line if explanation else None)
    if explanation:
        _print_fact(console, "answer", "none" if explanation.answer is None else explanation.answer)
        if explanation.line is not None:
            _print_fact(console, f"first wrong step, line {explanation.line + 1}", explanation.remark, style="red")
    if response.remark:
        _print_fact(console, "note", response.remark)


def _print_fact(console: Console, name: str, text: str, style: str = "") -> None:
    _print(console, f"{name}: {short(text)}", style=style)


def _print_lines(console: Console, text: str, full: bool, marked: int | None = None) -> None:
    for number, line in cut(text, full):
        wrong = number is not None and number == marked
        _print(console, line, MARK if wrong else " ", style="bold red" if wrong else "dim" if number is None else "")


def _print(console: Console, line: str, margin: str = "", style: str = "") -> None:
    """Print a line, wrapped; with a margin, every part of it is behind that."""
    margin = margin and f"{margin} "
    for part in Text(harmless(line)).wrap(console, _width(console) - len(margin)):
        console.print(Text(f"{margin}{part.plain}".rstrip(), style), no_wrap=True, overflow="ignore", crop=False)


def _width(console: Console) -> int:
    return max(_NARROWEST, console.width)


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
