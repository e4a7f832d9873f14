// Server-sent events from a fetch response: unlike EventSource, fetch can send a token in a header.

/** Yield each event as `{event, data}`. `received` is called for every piece, comments too. */
export async function* events(response, received = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", pending = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      received();
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* complete(lines);
    }
  } finally {
    reader.cancel().catch(() => {});
  }

  function* complete(lines) {
    for (const line of lines) {
      if (line !== "") { pending.push(line); continue; }
      const data = pending.filter((one) => one.startsWith("data:")).map((one) => one.slice(5).replace(/^ /, ""));
      const event = pending.findLast((one) => one.startsWith("event:"))?.slice(6).trim() || "message";
      pending = [];
      if (data.length) yield { event, data: data.join("\n") };
    }
  }
}
