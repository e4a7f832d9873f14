"""One cold start, measured from inside: import of a handler's module, and its first answer.

    python -I -S -B started.py PACKAGE RUNTIME MODULE < event.json

Nothing can be imported but the package, the runtime's folder and the standard library.
"""

import importlib
import json
import sys
import time

# Lambda's own client has imported these by the time it comes to the handler.
for name in ("decimal", "logging", "traceback"):
    importlib.import_module(name)

package, runtime, module = sys.argv[1:]
sys.path[:0] = [package, runtime]
event = json.load(sys.stdin)
began, cpu = time.perf_counter(), time.process_time()
handler = importlib.import_module(module).handler
answer = handler(event, None)
answered, spent = time.perf_counter() - began, time.process_time() - cpu
json.dump({"answered": answered, "cpu": spent, "answer": answer}, sys.stdout)
