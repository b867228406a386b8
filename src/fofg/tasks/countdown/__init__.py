"""The Countdown task of the transfer experiment (paper §4.3): combine integers with + - * / to reach a target."""

from fofg.tasks.countdown.countdown_task import Countdown

__all__ = ["Countdown"]
