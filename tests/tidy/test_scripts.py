"""The programs one starts from the checkout, and what they are built from."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.tidy.checkout import ROOT, programs, relative


@pytest.mark.parametrize("program", programs(), ids=relative)
def test_program_explains_itself(program: Path) -> None:
    """--help says how a program is used, and does nothing else."""
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout.lower()


@pytest.mark.parametrize("program", [each for each in programs() if b"bash" in each.read_bytes()[:32]], ids=relative)
def test_program_refuses_what_it_does_not_know(program: Path) -> None:
    """An unknown option is refused with exit code 2 before anything is done."""
    done = subprocess.run([program, "--no-such-option"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, (done.stdout, done.stderr)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_names_files_and_no_places(lock: str) -> None:
    """Every locked package has hashes, and none an address."""
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text)
    assert [entry.split()[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []
    assert "//" not in text


def test_lock_covers_the_dependencies() -> None:
    """A dependency added to pyproject.toml is locked too (script/lock)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        "requirements.lock": project["dependencies"],
        "requirements-dev.lock": project["dependencies"] + project["optional-dependencies"]["dev"],
    }
    for lock, dependencies in wanted.items():
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
        names = {re.split(r"[^A-Za-z0-9._-]", dependency)[0].lower() for dependency in dependencies}
        assert names - locked == set(), lock
