"""What an application wrote for CDK: its stacks, where they go, and what is in their templates.

Read from `manifest.json` and the templates beside it. Knows CDK's files, nothing of parkmeter.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Assembly:
    """One folder of `cdk synth`."""

    folder: Path

    def stacks(self) -> list[str]:
        """All stacks, each after those it depends on, otherwise as the application made them."""
        artifacts = self._artifacts()
        ordered: list[str] = []

        def add(name: str) -> None:
            if name not in ordered:
                for needed in artifacts[name].get("dependencies", ()):
                    if needed in artifacts:
                        add(needed)
                ordered.append(name)

        for name in artifacts:
            add(name)
        return ordered

    def regions(self) -> set[str]:
        """Where the stacks are to go."""
        return {one["environment"].rpartition("/")[2] for one in self._artifacts().values()}

    def resources(self, kind: str) -> Iterator[dict[str, Any]]:
        """The properties of every resource of this kind, in all templates."""
        for one in self._artifacts().values():
            template = json.loads((self.folder / one["properties"]["templateFile"]).read_text())
            for resource in template["Resources"].values():
                if resource["Type"] == kind:
                    yield resource["Properties"]

    def _artifacts(self) -> dict[str, Any]:
        manifest = json.loads((self.folder / "manifest.json").read_text())
        return {
            name: said
            for name, said in manifest["artifacts"].items()
            if said["type"] == "aws:cloudformation:stack"
        }
