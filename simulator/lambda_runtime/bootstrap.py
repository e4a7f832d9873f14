"""The start of a Lambda process, run as `python -I -S bootstrap.py RUNTIME HANDLER`.

Imports see the package, the folder RUNTIME with the modules of AWS's runtime, and Python itself: a
module that is missing from a package is missing here too. Standard library only.
"""

import os
import sys


def main() -> None:
    """Handle invocations until the process is killed."""
    runtime, handler = sys.argv[1:]
    sys.path[:] = [os.environ["LAMBDA_TASK_ROOT"], runtime, *sys.path]
    from awslambdaric import bootstrap  # noqa: PLC0415 (only now on the path)
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient  # noqa: PLC0415

    bootstrap.run(handler, LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))


main()
