"""Passwords are hashed cheaply: what the hash withstands is not what is tested here."""

from __future__ import annotations

from functools import partial

import pytest
from argon2 import PasswordHasher


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("ishmael.web.sessions.PasswordHasher", cheap)
