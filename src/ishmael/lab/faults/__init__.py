"""The faults the lab can cause: ``table`` lists them, ``causing`` causes and undoes them, the rest are their mechanisms."""

from ishmael.lab.faults.causing import (
    Injected,
    after_reboot,
    before_reboot,
    heal,
    inject,
    named,
    serving_node,
    target,
)
from ishmael.lab.faults.row import Fault, Moves, Where
from ishmael.lab.faults.table import FAULTS

__all__ = [
    "FAULTS",
    "Fault",
    "Injected",
    "Moves",
    "Where",
    "after_reboot",
    "before_reboot",
    "heal",
    "inject",
    "named",
    "serving_node",
    "target",
]
