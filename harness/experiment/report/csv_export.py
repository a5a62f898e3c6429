"""The records and the figures as CSV files, for spreadsheets and data frames."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.record_tables import record_tables


def write_csv(analysis: Analysis, prefix: str, folder: Path) -> list[Path]:
    """Write a file per table; returns the files."""
    written = []
    for table in record_tables(analysis):
        path = folder / f"{prefix}{table.name}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.columns)
            writer.writerows(table.rows)
        written.append(path)
    return written
