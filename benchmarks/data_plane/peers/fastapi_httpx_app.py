"""A gateway of a few lines, run in an environment of its own: knows nothing of this project."""

import sys

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response

port, upstream, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
app = FastAPI()
limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{upstream}", limits=limits)


@app.post("/flan")
async def forward(request: Request) -> Response:
    """Check, forward, answer."""
    if request.headers.get("authorization") != f"Bearer {token}":
        return Response(status_code=401)
    answer = await client.post(
        "/invocations",
        content=await request.body(),
        headers={"content-type": request.headers["content-type"]},
    )
    return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])


uvicorn.run(app, port=port, access_log=False, log_level="warning")
