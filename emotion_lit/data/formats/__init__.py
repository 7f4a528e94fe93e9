"""File formats: rows of CSV, JSON, Parquet, Arrow and plain-text files."""
