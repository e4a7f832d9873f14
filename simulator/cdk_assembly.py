"""The cloud assembly that `cdk synth` writes: stacks, their regions and their templates.

Read from `manifest.json` and the templates beside it. Knows the files of CDK, nothing of parkmeter.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Assembly:
    """One output folder of `cdk synth`."""

    folder: Path

    def stacks(self) -> list[str]:
        """Return all stacks, each after its dependencies, otherwise in the application's order."""
        artifacts = self._artifacts()
        ordered: list[str] = []

        def add(name: str) -> None:
            if name not in ordered:
                for dependency in artifacts[name].get("dependencies", ()):
                    if dependency in artifacts:
                        add(dependency)
                ordered.append(name)

        for name in artifacts:
            add(name)
        return ordered

    def regions(self) -> set[str]:
        """Return the regions that the stacks deploy to."""
        return {one["environment"].rpartition("/")[2] for one in self._artifacts().values()}

    def resources(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the properties of each resource of this kind, over all templates."""
        for one in self._artifacts().values():
            template = json.loads((self.folder / one["properties"]["templateFile"]).read_text())
            for resource in template["Resources"].values():
                if resource["Type"] == kind:
                    yield resource["Properties"]

    def _artifacts(self) -> dict[str, Any]:
        manifest = json.loads((self.folder / "manifest.json").read_text())
        return {
            name: artifact
            for name, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        }
