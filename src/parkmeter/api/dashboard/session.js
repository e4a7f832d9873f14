// The token, kept by this tab until it is closed; in no address, no cookie, no lasting storage.

const KEY = "parkmeter.token";

export const session = {
  get token() { return sessionStorage.getItem(KEY); },
  keep(token) { sessionStorage.setItem(KEY, token); },
  end() { sessionStorage.removeItem(KEY); },
};

/** What the holder of a token may do and how to hear of changes, from `GET /whoami`. */
export class Holder {
  constructor(said) {
    this.name = said.name;
    this.events = said.events;
    this.scopes = new Set(said.scopes);
    this.endpoints = said.endpoints && new Set(said.endpoints);
  }

  may(scope, endpoint) {
    return this.scopes.has(scope) && (!this.endpoints || this.endpoints.has(endpoint));
  }
}
