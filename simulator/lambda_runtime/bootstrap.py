"""What a Lambda process runs first; started as `python -I -S bootstrap.py RUNTIME HANDLER`.

Imports see the package, the folder RUNTIME with what AWS's runtime brings along, and Python itself:
a module that is missing from a package is missing here too. Standard library only.
"""

import os
import sys


def main() -> None:
    runtime, handler = sys.argv[1:]
    sys.path[:] = [os.environ["LAMBDA_TASK_ROOT"], runtime, *sys.path]
    from awslambdaric import bootstrap  # noqa: PLC0415 (only now can it be found)
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient  # noqa: PLC0415

    bootstrap.run(handler, LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))


main()
