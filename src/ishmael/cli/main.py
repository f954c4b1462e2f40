"""``ishmael``: the command line. Starts fast: everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ishmael.words.errors import IshmaelError

PLUG_INS = "ishmael.commands"
INTERRUPTED = 130


def plug_in(name: str) -> EntryPoint | None:
    """The command another package (or room) plugs in under this name, not loaded yet."""
    return next((point for point in entry_points(group=PLUG_INS) if point.name == name), None)


def _application(arguments: Sequence[str]) -> tuple[Any, list[str], str]:
    """What to run: our own commands, or the plugged-in ones when the first word asks for them."""
    if arguments and not arguments[0].startswith("-"):
        point = plug_in(arguments[0])
        if point is not None:
            try:
                return point.load(), list(arguments[1:]), f"ishmael {arguments[0]}"
            except ModuleNotFoundError as error:
                # A plug-in whose code is not installed here is the same as no plug-in; any other lack is a fault.
                if error.name is None or not point.module.startswith(error.name):
                    raise
    from ishmael.cli.app import app  # noqa: PLC0415 - the plugged-in commands do not need ours

    return app, list(arguments), "ishmael"


def _complain(error: IshmaelError, arguments: Sequence[str]) -> int:
    from ishmael.cli import show  # noqa: PLC0415 - only when something went wrong

    if "--json" in arguments:
        show.print_json(show.error_object(error))
    show.complain(error)
    return error.exit_code


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code (see docs/reference/cli.md)."""
    try:
        application, rest, name = _application(arguments)
        application(args=rest, prog_name=name)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else (0 if end.code is None else 70)
    except IshmaelError as error:
        return _complain(error, arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has gone: nobody is left to tell.
        sys.stderr.close()
    except Exception as error:  # noqa: BLE001, RUF100 - the last resort: a bug must end with its own exit code
        from ishmael.cli import show  # noqa: PLC0415

        show.bug(error)
        return 70
    return 0


def main() -> None:
    """Entry point of the installed program."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
