"""The report of an experiment.

load/        reads a folder of runs (docs/runs.md) into records
analysis/    works out figures; winners.py decides who won where, sentences.py says it
page/        charts and the HTML page: theme.py has the colours, templates/ the markup
table.py     the table for the terminal; csv_export, parquet_export, json_export, image_export write files
"""
