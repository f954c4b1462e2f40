"""What is packaged stands by itself."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

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
