"""Resources deployed by the version before are kept by an update: same logical ids, same names."""

import json
from pathlib import Path

from tests.support.synthesized import Templates

BEFORE = Path(__file__).parents[1] / "data" / "version_before_resources.json"
"""The resources of `app.py` at the revision in `tests/support/version_before`, by stack.

Each with its type and those properties whose change makes CloudFormation replace it.
"""


def test_an_update_replaces_no_resource_of_the_version_before(seed: Templates):
    for stack, resources in json.loads(BEFORE.read_text()).items():
        now = seed.by_stack[stack]["Resources"]
        for logical_id, before in resources.items():
            after = now[logical_id]
            assert after["Type"] == before.pop("Type")
            named = {name: after["Properties"].get(name) for name in before}
            assert named == before, f"{stack}: {logical_id}"
