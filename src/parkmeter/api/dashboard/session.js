// The token, kept by this tab until it is closed; in no URL, no cookie and no lasting storage.

const KEY = "parkmeter.token";

export const session = {
  get token() { return sessionStorage.getItem(KEY); },
  keep(token) { sessionStorage.setItem(KEY, token); },
  end() { sessionStorage.removeItem(KEY); },
};

/** The rights of the token's holder, and whether the gateway streams changes, from `GET /whoami`. */
export class Holder {
  constructor(whoami) {
    this.name = whoami.name;
    this.events = whoami.events;
    this.scopes = new Set(whoami.scopes);
    this.endpoints = whoami.endpoints && new Set(whoami.endpoints);
  }

  may(scope, endpoint) {
    return this.scopes.has(scope) && (!this.endpoints || this.endpoints.has(endpoint));
  }
}
