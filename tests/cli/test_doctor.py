"""``limbeck doctor`` as it is called."""

import json
import sys


def test_it_speaks_to_people(limbeck):
    said = limbeck("doctor")
    assert said.status == 0
    for part in ("Python 3", "Devices", "cpu: ", "Threads", "Data root", "WRITABLE"):
        assert part in said.out


def test_it_speaks_to_programs(limbeck):
    facts = json.loads(limbeck("doctor", "--json").out)
    assert facts["devices"][0]["device"] == "cpu"
    assert facts["python"] == sys.version.split()[0]
    assert set(facts["extras"]) == {one["extra"] for one in facts["libraries"]} - {""}
    for extra, found in facts["extras"].items():
        assert found["install"] == f"pip install 'limbeck[{extra}]'"


def test_a_data_root_that_is_no_folder_is_refused(limbeck):
    said = limbeck("doctor", "--data-root", "absent")
    assert (said.status, "is no folder" in said.err) == (2, True)
