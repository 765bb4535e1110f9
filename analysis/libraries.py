"""What the analysis needs beside Python's own library. To be imported first, so that a Python without it says in one
line what to use instead of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

EX_UNAVAILABLE = 69
NEEDED = ("h5py", "numpy", "pandas", "matplotlib")


def missing() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def require() -> None:
    """Ends the program unless all are there."""
    if not missing():
        return
    python = Path(__file__).resolve().parents[1] / ".venv/bin/python"
    how = "" if python.exists() else " (scripts/setup.sh makes it)"
    print(f"preimage: {sys.executable} has no {', '.join(missing())}; use {python}{how}", file=sys.stderr)
    raise SystemExit(EX_UNAVAILABLE)


require()
