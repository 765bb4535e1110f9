"""The tables and tensors of a dcm results.h5, each as a pandas DataFrame or a numpy array.

    import tables
    with tables.open_results("out/quick-dcm") as results:
        pairs = tables.pairs(results)

Units and descriptions of the columns are in `frame.attrs["columns"]`, the names of measured columns (seconds)
in `frame.attrs["measured"]`. A table that a run did not write comes back empty.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import libraries  # noqa: F401  (first: says which Python has them)
import h5py
import numpy as np
import pandas as pd


class ResultsError(Exception):
    """What is wrong with a results file, in one line."""


def open_results(path: str | Path) -> h5py.File:
    """Opens DIR/results.h5, or the file itself."""
    path = Path(path)
    file = path / "results.h5" if path.is_dir() else path
    if not file.is_file():
        raise ResultsError(f"{file}: no such file; expected the results of a finished run"
                           " (preimage status DIR says how far a run is)")
    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise ResultsError(f"{file}: not a readable HDF5 file ({error})") from error


_ESCAPE = re.compile(r"\\(?:\\|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")


def unescape(text: str) -> str:
    """Undoes the escapes under which text is stored; a byte that was not UTF-8 becomes U+FFFD."""

    def replace(match: re.Match[str]) -> str:
        if match.group(1):
            code = int(match.group(1), 16)
            return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
        return "\ufffd" if match.group(2) else "\\"

    return _ESCAPE.sub(replace, text)


def _text(value: bytes | str) -> str:
    return unescape(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)


def table(results: h5py.File, name: str) -> pd.DataFrame:
    """Any compound table by its name ("dcm/pairs")."""
    if name not in results:
        return pd.DataFrame()
    dataset = results[name]
    rows = dataset[:]
    frame = pd.DataFrame({
        column: [_text(value) for value in rows[column]] if rows.dtype[column].kind == "O" else rows[column]
        for column in rows.dtype.names
    })
    frame.attrs["columns"] = _json_attribute(dataset, "columns")
    frame.attrs["description"] = str(dataset.attrs.get("description", ""))
    frame.attrs["measured"] = [str(column) for column in np.atleast_1d(dataset.attrs.get("measured", []))]
    return frame


def _json_attribute(item: h5py.Dataset | h5py.Group, name: str) -> dict:
    value = item.attrs.get(name)
    if value is None:
        return {}
    return json.loads(value if isinstance(value, str) else bytes(value).decode())


def pairs(results: h5py.File) -> pd.DataFrame:
    """Stage joint: one row for each question-answer pair."""
    return table(results, "dcm/pairs")


def sweep_pairs(results: h5py.File) -> pd.DataFrame:
    """Stages ksweep and paraphrase: one row for each pair and K, with the columns of `pairs`."""
    return table(results, "dcm/sweep_pairs")


def single(results: h5py.File) -> pd.DataFrame:
    """Stage single: one row for each question and each answer, optimised alone."""
    return table(results, "dcm/single")


def baselines(results: h5py.File) -> pd.DataFrame:
    """Losses without optimisation: one row for each draw."""
    return table(results, "dcm/baselines")


def restarts(results: h5py.File) -> pd.DataFrame:
    """One row for each restart of each unit."""
    return table(results, "dcm/restarts")


def curves(results: h5py.File) -> pd.DataFrame:
    """Losses and gradients along the steps of each restart."""
    return table(results, "dcm/curves")


def nearest_tokens(results: h5py.File) -> pd.DataFrame:
    """The token nearest to each chosen content vector."""
    return table(results, "dcm/nearest_tokens")


def gates(results: h5py.File) -> pd.DataFrame:
    """The decision gates with their verdicts."""
    return table(results, "dcm/gates")


def sweep(results: h5py.File) -> pd.DataFrame:
    """Rates against K."""
    return table(results, "dcm/sweep")


def units(results: h5py.File) -> pd.DataFrame:
    """Every committed unit of work."""
    return table(results, "units")


def quarantine(results: h5py.File) -> pd.DataFrame:
    """Units that ended their rank too often and are missing everywhere else; `key` as an object."""
    frame = table(results, "quarantine")
    if not frame.empty:
        frame["key"] = [json.loads(key) for key in frame["key"]]
    return frame


def in_quarantine(frame: pd.DataFrame, stage: str, named: dict) -> int:
    """How many of them are of a stage and of these values of key and sweep, where their key names such."""
    if frame.empty:
        return 0
    def belongs(key: dict) -> bool:
        values = {**key, **key.get("sweep", {})}
        return all(name not in values or values[name] == value for name, value in named.items())
    return int(sum(belongs(key) for key in frame.loc[frame["stage"] == stage, "key"]))


def _tensor(results: h5py.File, name: str) -> np.ndarray | None:
    return results[name][:] if name in results else None


def embeddings(results: h5py.File) -> np.ndarray | None:
    """[pair, K, d] float32, in the order of `pairs`; None when the run left none."""
    return _tensor(results, "dcm/embeddings")


def modes(results: h5py.File) -> np.ndarray | None:
    """[2, d] float32: mode vector of the question, of the answer."""
    return _tensor(results, "dcm/modes")


def restart_embeddings(results: h5py.File) -> np.ndarray | None:
    """[restart, K, d] float32, in the order of `restarts`; None unless they were asked for."""
    return _tensor(results, "dcm/restart_embeddings")


def config(results: h5py.File) -> dict:
    """The effective config of the run."""
    return _json_attribute(results["config"], "json") if "config" in results else {}


def provenance(results: h5py.File) -> dict:
    """Hashes of the inputs, program, hosts and versions."""
    return _json_attribute(results["provenance"], "json") if "provenance" in results else {}


def swept_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that a job's "sweep" added: they are named by the config field, as "dcm.init"."""
    return [column for column in frame.columns if "." in column]


def wilson(successes: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a rate, 95 %."""
    if count == 0:
        return 0.0, 1.0
    p = successes / count
    centre = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
