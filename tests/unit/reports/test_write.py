"""Large files of a report, which a process beside writes."""

import pytest

from bench.errors import RecordError
from reports import write as writing
from reports import write_report


@pytest.fixture
def folder(make, tmp_path):
    return make.store(tmp_path / "run", make.TRIALS)


@pytest.mark.process
def test_the_file_is_the_one_that_is_written_otherwise(folder, tmp_path, monkeypatch):
    here = tmp_path / "here"
    write_report([folder], here, ["csv"])
    monkeypatch.setattr(writing, "FEWEST_TRIALS", 3)
    (path,) = write_report([folder], tmp_path / "beside", ["csv"])
    assert path == tmp_path / "beside" / "results.csv"
    assert path.read_bytes() == (here / "results.csv").read_bytes()


@pytest.mark.process
def test_what_it_could_not_write_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "FEWEST_TRIALS", 3)
    (tmp_path / "beside" / "results.csv").mkdir(parents=True)
    with pytest.raises(RecordError, match=r"results\.csv: cannot be written: Is a directory"):
        write_report([folder], tmp_path / "beside", ["csv"])
