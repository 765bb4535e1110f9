"""For scripts that put the reference libraries beside preimage: a Python without them says in one line what to use."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

EX_UNAVAILABLE = 69


def require(*names: str) -> None:
    """Ends the program unless all are there."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return
    python = Path(__file__).resolve().parents[1] / ".venv-reference/bin/python"
    how = "" if python.exists() else " (scripts/setup.sh --reference makes it)"
    print(f"preimage: {sys.executable} has no {', '.join(missing)}; use {python}{how}", file=sys.stderr)
    raise SystemExit(EX_UNAVAILABLE)
