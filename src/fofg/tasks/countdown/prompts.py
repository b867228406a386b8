"""Build prompts from the configured wording."""

from fofg.tasks.countdown.grading import Goal


def prompt_text(template: str, goal: Goal) -> str:
    """Fill ``{numbers}`` (in the problem's order, with commas) and ``{target}`` into the template."""
    return template.replace("{numbers}", ", ".join(map(str, goal.numbers))).replace("{target}", str(goal.target))
