"""Misfortunes of the data: each ends in a state that is named, shown, and has a way back; the telephones go on."""

from ishmael.lab.misfortunes.scene import Misfortune, Scene, Seen
from ishmael.lab.misfortunes.table import MISFORTUNES, named, restore, run

__all__ = ["MISFORTUNES", "Misfortune", "Scene", "Seen", "named", "restore", "run"]
