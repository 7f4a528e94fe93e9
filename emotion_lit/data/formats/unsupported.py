"""Unsupported file formats: how to recognize them, and the command that converts them."""

from pathlib import Path

_PANDAS = "python -c \"import pandas; pandas.{read}.to_csv('{stem}.csv', index=False)\""
# The pandas reader of each format.
READERS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"), "read_excel('{name}')"),
    **dict.fromkeys((".pkl", ".pickle"), "read_pickle('{name}')"),
    **dict.fromkeys((".h5", ".hdf", ".hdf5"), "read_hdf('{name}')"),
    **dict.fromkeys((".html", ".htm"), "read_html('{name}')[0]"),
    ".dta": "read_stata('{name}')",
    ".sav": "read_spss('{name}')",
    ".sas7bdat": "read_sas('{name}', encoding='utf-8')",
    ".orc": "read_orc('{name}')",
    ".xml": "read_xml('{name}')",
}
DATABASES = (".db", ".sqlite", ".sqlite3")
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
# The first bytes of formats, for files with a wrong suffix.
BEGINNINGS = {
    b"PK\x03\x04": "it is a ZIP archive or an Excel workbook; name it .xlsx or .zip to see how to read it",
    b"\xd0\xcf\x11\xe0": "it is an old Excel workbook; name it .xls to see how to convert it",
    b"\x1f\x8b": "it is compressed with gzip; add .gz to its name",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd; add .zst to its name",
    b"BZh": "it is compressed with bzip2; add .bz2 to its name",
    b"\xfd7zXZ\x00": "it is compressed with xz; add .xz to its name",
    b"PAR1": "it is a Parquet file; name it .parquet",
    b"ARROW1": "it is an Arrow file; name it .arrow",
    b"SQLite format 3": "it is a database of SQLite; name it .db to see how to convert it",
    b"version https://git-lfs.github.com/spec/": "it is a pointer of Git LFS; fetch the file with `git lfs pull`",
    b"%PDF-": "it is a PDF; copy its text into a file of text",
}


def conversion(file: Path) -> str:
    """What to type to convert an unsupported file; empty if that is not known."""
    suffix = file.suffix.lower()
    if reader := READERS.get(suffix):
        return "convert it: " + _PANDAS.format(read=reader.format(name=file), stem=file.with_suffix(""))
    if suffix in DATABASES:
        read = f"read_sql('SELECT * FROM <table>', sqlite3.connect('{file}'))"  # noqa: S608  a line to type
        return "convert it: " + _PANDAS.format(read=read, stem=file.with_suffix("")).replace(
            "import pandas", "import pandas, sqlite3"
        )
    if suffix in ARCHIVES or ".tar" in file.name.lower():
        return "unpack it, and name the file or the folder"
    return ""


def binary_format(start: bytes) -> str:
    """The format of a file with these first bytes, and what to do; empty if it can be text."""
    for beginning, what in BEGINNINGS.items():
        if start.startswith(beginning):
            return what
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "it is a page of HTML, perhaps an error of a download; download the file again"
    return ""
