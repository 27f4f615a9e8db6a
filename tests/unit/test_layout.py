"""The unit tests mirror the source: each of their folders is a package of this project."""

from support.places import ROOT, TESTS

UNIT = TESTS / "unit"


def test_each_folder_of_unit_tests_is_a_package_of_the_source():
    folders = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    missing = [str(each) for each in folders if not (ROOT / each).is_dir()]
    assert missing == []
    assert {path.parts[0] for path in folders if path.parts} <= {"bench", "backends", "reports"}
