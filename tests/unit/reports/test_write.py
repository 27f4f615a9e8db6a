"""Large files of a report, which a process beside writes."""

import pytest

from bench.errors import RecordError
from reports import write as writing
from reports import write_report


@pytest.fixture
def folder(make, tmp_path):
    return make.store(tmp_path / "run", make.TRIALS)


@pytest.mark.process
def test_a_file_written_by_a_second_process_equals_one_written_directly(
    folder, tmp_path, monkeypatch
):
    here = tmp_path / "here"
    write_report([folder], here, ["csv"])
    monkeypatch.setattr(writing, "FEWEST_TRIALS", 3)
    (path,) = write_report([folder], tmp_path / "beside", ["csv"])
    assert path == tmp_path / "beside" / "results.csv"
    assert path.read_bytes() == (here / "results.csv").read_bytes()


@pytest.mark.process
def test_an_error_in_the_second_process_is_reported(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "FEWEST_TRIALS", 3)
    (tmp_path / "beside" / "results.csv").mkdir(parents=True)
    with pytest.raises(RecordError, match=r"results\.csv: cannot be written: Is a directory"):
        write_report([folder], tmp_path / "beside", ["csv"])
