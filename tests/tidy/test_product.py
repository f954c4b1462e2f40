"""What is packaged stands by itself."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ishmael.cli.manual import page
from ishmael.words.errors import EXIT_CODES
from tests.tidy.checkout import ROOT

UNITS = sorted((ROOT / "packaging/systemd").glob("*.service"))

# Imports every module below sys.argv[1] while the modules of sys.argv[2:] cannot be found.
IMPORT_ALL = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2:]:
            raise ModuleNotFoundError(f"{name} is not in the package")

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[1])
import ishmael
assert ishmael.__path__[0].startswith(sys.argv[1]), ishmael.__path__
for module in pkgutil.walk_packages(ishmael.__path__, "ishmael."):
    importlib.import_module(module.name)
"""


def test_product_loads_with_what_the_package_carries(tmp_path: Path) -> None:
    """Every module of the product imports without the lab, the simulator and the tools of a checkout."""
    shutil.copytree(ROOT / "src/ishmael", tmp_path / "ishmael", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("lab", "sim"):
        shutil.rmtree(tmp_path / "ishmael" / room)
    carried = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)) | {"ishmael"}
    absent = [
        module
        for module, owners in packages_distributions().items()
        if not carried & {re.sub(r"[._]", "-", owner).lower() for owner in owners}
    ]
    assert "pytest" in absent
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", IMPORT_ALL, str(tmp_path), *absent],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_units_start_programs_that_exist() -> None:
    """Each unit starts a module of the product with the package's Python; the rsync server is Debian's."""
    for unit in UNITS:
        if re.search(r"^ExecStart=/usr/bin/rsync ", unit.read_text(), re.MULTILINE):
            continue
        found = re.search(
            r"^ExecStart=/usr/lib/ishmael/venv/bin/python -I -m ishmael\.(\S+)$", unit.read_text(), re.MULTILINE
        )
        assert found, unit.name
        assert (ROOT / "src/ishmael" / (found[1].replace(".", "/") + ".py")).exists(), unit.name


def test_units_outlive_corosync() -> None:
    """Nothing ties our units' lives to Corosync's: the keeper has to act when it dies."""
    assert UNITS
    for unit in UNITS:
        assert not re.search(r"^(Requires|Requisite|BindsTo|PartOf)=", unit.read_text(), re.MULTILINE), unit.name


@pytest.mark.parametrize(("unit", "most"), [("ishmael-manager", 50), ("ishmael-web", 20)])
def test_units_are_confined(unit: str, most: int) -> None:
    """The exposure that systemd computes (systemd-analyze(1), security) stays below its bound, in tenths."""
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}"]
    done = subprocess.run(
        [*argv, str(ROOT / f"packaging/systemd/{unit}.service")], capture_output=True, text=True, check=False
    )
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_the_manual_page_is_whole() -> None:
    """Every command and exit code stands in the page, and man(1) reads it without a complaint."""
    source = page("0.0")
    for word in ("setup\\-master", "drift put\\-back", "services set", "user add\\-token", "\\-\\-yes"):
        assert word in source
    assert all(f"\\fB{code}\\fR" in source for code in EXIT_CODES)
    done = subprocess.run(
        ["man", "--warnings", "--local-file", "-"], input=source, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "-c" not in done.stdout.split("NAME")[0]


def test_commands_complete_themselves() -> None:
    """The package's bash completion gets its words from the program."""
    script = (
        f"source {ROOT}/packaging/bash-completion; COMP_WORDS=(ishmael re); COMP_CWORD=1; "
        f"_ishmael_completion {Path(sys.executable).with_name('ishmael')}; printf '%s\\n' ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert {"re-add", "remove-slave", "reset"} <= set(done.stdout.split()), done.stderr
