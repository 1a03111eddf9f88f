"""What a person looks at: scores by token category as terminal tables, CSV or Parquet, plots and one HTML file.

`Scores` is the record all of them read; it knows no model and no device, so a score file from elsewhere serves as well.
"""
