"""A server is stopped for leading a history of its own only while nobody joins its data or gives it back."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from ishmael.dbwatch.server import undisturbed


@pytest.fixture
def named(tmp_path: Path) -> Path:
    path = tmp_path / "database.json"
    path.write_text("{}")
    return path


def test_nobody_has_locked_it(tmp_path: Path, named: Path) -> None:
    with undisturbed(tmp_path / "never-made", named) as ours:
        assert ours


def test_who_locks_it_waits_until_the_end(tmp_path: Path, named: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with undisturbed(path, named) as ours, path.open("w") as other:
        assert ours
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_somebody_has_locked_it(tmp_path: Path, named: Path) -> None:
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with undisturbed(tmp_path / "lock", named) as ours:
            assert not ours


def test_it_was_given_back_to_the_machine(tmp_path: Path) -> None:
    """Between two looks: the lock is free again, and the file that names the database is gone."""
    with undisturbed(tmp_path / "lock", tmp_path / "gone") as ours:
        assert not ours


def test_an_error_inside_goes_out(tmp_path: Path, named: Path) -> None:
    with pytest.raises(FileNotFoundError, match="inside"), undisturbed(tmp_path / "lock", named):
        raise FileNotFoundError("inside")
