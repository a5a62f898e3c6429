"""The report of an experiment.

load/        reads a folder of runs (docs/runs.md) into records
analysis/    computes figures; winners.py finds the winners, sentences.py describes them
page/        charts and the HTML page: theme.py has the colours, templates/ the markup
table.py     the tables for the terminal; csv_export, parquet_export, json_export, image_export write files
"""
