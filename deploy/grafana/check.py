"""Reads the dashboards by Grafana's own schema, as grafana-foundation-sdk (PyPI) has it, and writes them
again: check.py

What the schema does not know, or knows as something else, is printed, and the exit code is 1.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(ours, theirs, path):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from differences(value, theirs[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is unknown"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (mine, other) in enumerate(zip(ours, theirs)):
            yield from differences(mine, other, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path} is {ours!r}, and was read as {theirs!r}"


register_default_plugins()
found, panels = [], 0
for file in sorted((Path(__file__).parent / "dashboards").glob("*.json")):
    ours = json.loads(file.read_text())
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    found += differences(ours, theirs, file.name)
    panels += len(theirs["panels"])
print("\n".join(found) if found else f"{panels} panels")
sys.exit(1 if found or not panels else 0)
