"""The records and the figures as Parquet files, typed and small, for data frames."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.record_tables import record_tables

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def write_parquet(analysis: Analysis, prefix: str, folder: Path) -> list[Path]:
    """Write a file per table, with the columns of the CSV files; returns the files."""
    written = []
    for table in record_tables(analysis):
        rows = list(table.rows)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
        arrays = [pa.array(values, _TYPES[kind]) for values, kind in zip(columns, table.columns.values(), strict=True)]
        path = folder / f"{prefix}{table.name}.parquet"
        parquet.write_table(pa.Table.from_arrays(arrays, names=list(table.columns)), path)
        written.append(path)
    return written
