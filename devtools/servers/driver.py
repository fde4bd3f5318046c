"""A process over the data of an instance that runs the code it is sent."""

import json
from typing import Any

from devtools.servers.databases import InstanceData, starter
from devtools.servers.quick import QuickPipes

LOOP = """
import json, sys
import django
django.setup()
from django.db import connection
names = {}
for line in sys.stdin:
    names["result"] = None
    if connection.connection is not None and not connection.is_usable():
        connection.close()  # a test has restarted the database
    try:
        exec(json.loads(line), names)
        said = {"result": names["result"]}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print("\\x1e" + json.dumps(said, default=str), flush=True)
"""


class Driver(QuickPipes):
    """drive(code) runs it and returns what it leaves in `result`. Names stay until stop()."""

    def __init__(self, data: InstanceData, **environment: str) -> None:
        own = data.environment(**environment)
        super().__init__(LOOP, environment=own, start=starter(own))

    def __call__(self, code: str) -> Any:
        self.say(json.dumps(code))
        for line in self.stdout:
            if line.startswith("\x1e"):
                said = json.loads(line[1:])
                if "error" in said:
                    raise RuntimeError(said["error"])
                return said["result"]
        raise RuntimeError(f"the driver has ended:\n{self.errors()[-3000:]}")
