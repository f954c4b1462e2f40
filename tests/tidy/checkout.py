"""The files of the checkout, as the tidy rules see them."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the product is made of; everything else drives or describes it.
PRODUCT = ("src/ishmael", "packaging", "profiles")
# What of that stays out of the package; the last is the program that leaves the others out.
WORKSHOP = ("src/ishmael/lab", "src/ishmael/sim", "packaging/assemble")


def _generated() -> set[str]:
    """Names that .gitignore keeps out of the repository."""
    lines = (ROOT / ".gitignore").read_text().split()
    return {line.rstrip("/") for line in lines} | {".git"}


def files() -> Iterator[Path]:
    """Every file of the checkout that somebody wrote, in order, without asking git (it may refuse root)."""
    generated = _generated()

    def walk(directory: Path) -> Iterator[Path]:
        for path in sorted(directory.iterdir()):
            if path.name in generated or path.name.endswith(".egg-info"):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from walk(path)
            elif path.is_file():
                yield path

    yield from walk(ROOT)


def text_files() -> Iterator[tuple[str, str]]:
    """Path relative to the checkout and content of every text file; locks and the licence, not ours, left out."""
    for path in files():
        if path.suffix == ".lock" or path.name == "LICENSE":
            continue
        try:
            yield relative(path), path.read_text()
        except UnicodeDecodeError:
            continue


def programs() -> list[Path]:
    """Every file with an interpreter line below script/, .ci/ and packaging/ that people start by hand."""
    found = [path for path in files() if relative(path).startswith(("script/", ".ci/"))]
    return [path for path in [*found, ROOT / "packaging/assemble"] if path.read_bytes().startswith(b"#!")]


def python_files() -> list[Path]:
    """Every Python file, with or without the suffix."""
    return [
        path for path in files() if path.suffix == ".py" or path.read_bytes()[:64].startswith(b"#!/usr/bin/python3")
    ]


def product_files() -> Iterator[tuple[str, str]]:
    """Path and content of every text file that ends up in the package."""
    for name, text in text_files():
        if name.startswith(PRODUCT) and not name.startswith(WORKSHOP):
            yield name, text


def relative(path: Path) -> str:
    """The path as seen from the checkout's top."""
    return path.relative_to(ROOT).as_posix()
