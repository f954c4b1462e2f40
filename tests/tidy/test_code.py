"""The shape of the code: who may import whom, and how long things may be."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.tidy.checkout import ROOT, python_files, relative

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500


def test_rooms_import_only_what_they_may() -> None:
    """The contracts of pyproject.toml hold."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_functions_fit_on_a_page() -> None:
    """No function, its docstring included, is longer than a page."""
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{relative(path)}:{node.lineno} {node.name}: {lines} lines")
    assert long == []


def test_files_stay_short() -> None:
    """No source file grows beyond what one reads in a sitting."""
    counted = {relative(path): len(path.read_text().splitlines()) for path in python_files()}
    assert {name: lines for name, lines in counted.items() if lines > FILE_LINES_MAX} == {}


def test_every_package_is_one() -> None:
    """A directory without __init__ is silently left out of imports and of the linters."""
    directories = {path.parent for path in (ROOT / "src/ishmael").rglob("*.py")}
    assert [relative(each) for each in sorted(directories) if not (each / "__init__.py").exists()] == []
