"""The `model.tar.gz` of the run's container, in the bucket of CDK's bootstrap."""

import gzip
import io
import tarfile
from pathlib import Path

from tools.smoke_aws.run import Run

_CODE = Path(__file__).parent / "container" / "code" / "inference.py"


def upload(run: Run) -> None:
    """Pack and upload it."""
    packed, text = io.BytesIO(), _CODE.read_bytes()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(f"code/{_CODE.name}")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    body = gzip.compress(packed.getvalue())
    run.client("s3").put_object(Bucket=run.packages, Key=run.artifact, Body=body)


def is_there(run: Run) -> bool:
    """Return whether it has been uploaded and not deleted."""
    listed = run.client("s3").list_objects_v2(Bucket=run.packages, Prefix=run.artifact)
    return bool(listed["KeyCount"])


def delete(run: Run) -> None:
    """Delete it."""
    run.client("s3").delete_object(Bucket=run.packages, Key=run.artifact)
