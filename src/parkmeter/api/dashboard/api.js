// Calls of parkmeter's HTTP routes. URLs are relative to the page, so that any prefix works.

const TIMEOUT = 30_000;

/** An error answer (RFC 9457). */
export class Problem extends Error {
  constructor(status, document) {
    super(messageOf(document) || `The answer was ${status}.`);
    this.status = status;
    this.code = document.code;
    this.data = document;
  }

  /** Whether the token is not, or no longer, valid. */
  get signedOut() { return this.status === 401 || this.code === "token_refused"; }
}

/** Return a problem's text; parkmeter's own is for terminals too, with code in backticks. */
function messageOf({ code, detail, title, message }) {
  const text = detail || title || message;
  return code && text ? text.replaceAll("`", "") : text;
}

export class Api {
  constructor(token) { this.token = token; }

  /** Return the URL of a route. */
  static address(path) { return new URL(path, document.baseURI); }

  /** Return JSON. Throws Problem, or fetch's error if no answer comes. */
  async get(path) {
    return (await this.ask(path, { signal: AbortSignal.timeout(TIMEOUT) })).json();
  }

  /** Send a change; sent again with the same key it is done once. */
  async change(path, body, key) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    const signal = AbortSignal.timeout(TIMEOUT);
    const request = { method: "POST", headers, body: JSON.stringify(body), signal };
    return (await this.ask(path, request)).json();
  }

  /** Return the response to any call. Throws Problem for an error answer. */
  async ask(path, { headers = {}, ...rest } = {}) {
    const response = await fetch(Api.address(path), {
      ...rest, cache: "no-store", credentials: "omit", headers: { ...headers, Authorization: `Bearer ${this.token}` },
    });
    if (response.ok) return response;
    const document = await response.json().catch(() => ({}));
    throw new Problem(response.status, document && typeof document === "object" ? document : {});
  }
}

/** Return a new idempotency key. */
export function newKey() {
  // Not randomUUID: pages without HTTPS, as on a local network, do not have it.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the path of an endpoint's route. */
export const pathOf = (name, rest = "") => `endpoints/${encodeURIComponent(name)}${rest}`;
