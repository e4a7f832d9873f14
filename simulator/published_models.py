"""What AWS publishes for every account: container images, and the artifacts of JumpStart.

Reports every image of AWS's registry and every object of JumpStart's bucket as existing.
"""

import json

from werkzeug.wrappers import Request, Response

REGISTRIES = frozenset({"763104351884"})
"""AWS's deep learning containers in us-east-1 (`stacks/jumpstart.json`)."""

_BATCH_GET_IMAGE = "AmazonEC2ContainerRegistry_V20150921.BatchGetImage"
_BUCKET = "/jumpstart-cache-prod-"
_LISTED = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount></ListBucketResult>"
)


def handle(request: Request) -> Response | None:
    """Answer a request for a published image or artifact; None for any other."""
    if request.headers.get("X-Amz-Target") == _BATCH_GET_IMAGE:
        return _images(json.loads(request.get_data()))
    if request.path.startswith(_BUCKET) and request.method in {"GET", "HEAD"}:
        return Response(_LISTED if request.method == "GET" else b"", mimetype="application/xml")
    return None


def _images(members: dict[str, object]) -> Response | None:
    if members.get("registryId") not in REGISTRIES:
        return None
    wanted = members.get("imageIds")
    images = [
        {"repositoryName": members["repositoryName"], "imageId": one, "imageManifest": "{}"}
        for one in (wanted if isinstance(wanted, list) else [])
    ]
    document = {"images": images, "failures": []}
    return Response(json.dumps(document), mimetype="application/x-amz-json-1.1")
