// Calls of parkmeter's HTTP routes. Addresses are relative to the page, under whatever prefix it is.

const PATIENCE = 30_000;

/** What parkmeter refused, in its own words (RFC 9457). */
export class Problem extends Error {
  constructor(status, document) {
    super(wordsOf(document) || `The answer was ${status}.`);
    this.status = status;
    this.code = document.code;
    this.data = document;
  }

  /** The token is not, or no longer, good. */
  get signedOut() { return this.status === 401 || this.code === "token_refused"; }
}

/** What a problem says; ours is written for terminals too, with code in backticks. */
function wordsOf({ code, detail, title, message }) {
  const said = detail || title || message;
  return code && said ? said.replaceAll("`", "") : said;
}

export class Api {
  constructor(token) { this.token = token; }

  /** The address of a route. */
  static address(path) { return new URL(path, document.baseURI); }

  /** JSON. Throws Problem, or what fetch throws when no answer comes. */
  async get(path) {
    return (await this.ask(path, { signal: AbortSignal.timeout(PATIENCE) })).json();
  }

  /** Change something once, however often it is sent with the same key. */
  async change(path, body, key) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    const signal = AbortSignal.timeout(PATIENCE);
    const sent = { method: "POST", headers, body: JSON.stringify(body), signal };
    return (await this.ask(path, sent)).json();
  }

  /** Any call; its answer, unless that is a problem. */
  async ask(path, { headers = {}, ...rest } = {}) {
    const response = await fetch(Api.address(path), {
      ...rest, cache: "no-store", headers: { ...headers, Authorization: `Bearer ${this.token}` },
    });
    if (response.ok) return response;
    const document = await response.json().catch(() => ({}));
    throw new Problem(response.status, document && typeof document === "object" ? document : {});
  }
}

/** A new key for one intention. */
export function newKey() {
  // Not randomUUID: a page without HTTPS, such as a gateway in the local network, has none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The path of an endpoint's routes. */
export const pathOf = (name, rest = "") => `endpoints/${encodeURIComponent(name)}${rest}`;
