import io

import numpy as np
import pytest
from astropy.table import Column, Table

from skymix.report import tables


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 7])
def test_a_table_written_in_parts_is_the_one_written_whole(rows, tmp_path, monkeypatch) -> None:
    names = np.array(["# no comment", "two", "Sgr A*", "1", "x y", '"', "é"])[:rows]
    table = Table(meta={"description": "Some\nrows"})
    table["name"] = Column(names, description="Name")
    table["value"] = Column(np.arange(rows) / 3, unit="TeV", description="Value")
    whole = io.StringIO()
    table.write(whole, format="ascii.ecsv")

    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 3)
    tables.write_table(table, tmp_path / "folder" / "table.ecsv")

    text = (tmp_path / "folder" / "table.ecsv").read_text(encoding="utf-8")
    assert text == whole.getvalue()
    again = Table.read(text, format="ascii.ecsv")
    assert len(again) == rows
    assert list(again["name"]) == list(table["name"])
