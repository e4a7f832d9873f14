// How the endpoints are doing, kept up to date: by events where the gateway sends them, else by asking.
// A page that nobody looks at only asks now and then: a browser has six connections for a gateway, and
// some forgotten tabs would hold them all.

import { Problem } from "./api.js";
import { events } from "./event_stream.js";

const ASK_EVERY = 5_000, ASK_HIDDEN = 60_000;
// After a change things happen within moments: so often, and so many times, it is asked sooner.
const ASK_SOON = 1_000, SOON = 4;
// A gateway says something every 15 s at least; a connection that fell silent is given up.
const SILENCE = 40_000;
const LONGEST_WAIT = 10_000;
// Where too many listen already it is asked as often, and after so long it is tried to listen again.
const CROWDED = 60_000;

/**
 * `streamed`: the gateway sends events. `seen(endpoints)`: the newest; `lost(milliseconds)`: no connection, tried again then; `found()`: there is
 * one again; `refused(problem)`: the token is no longer good, and nothing more comes.
 */
export class Live {
  constructor(api, streamed, { seen, lost, found, refused }) {
    Object.assign(this, { api, streamed, seen, lost, found, refused });
    this.listenAgain = -Infinity;
    this.failures = this.soon = 0;
    this.ended = new AbortController();
    const signal = this.ended.signal;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.unseen?.abort(); else this.now();
    }, { signal });
    addEventListener("online", () => this.now(), { signal });
    this.run();
  }

  /** Ask at once, where nobody tells us, and soon again; used after every change. */
  now() {
    this.soon = SOON;
    this.wake?.();
  }

  stop() { this.ended.abort(); this.now(); }

  async run() {
    while (!this.ended.signal.aborted) {
      try {
        if (this.streamed && !document.hidden && performance.now() >= this.listenAgain) await this.follow(); else await this.look();
      } catch (error) {
        if (this.ended.signal.aborted) return;
        if (error instanceof Problem && error.signedOut) { this.refused(error); return; }
        const wait = Math.min(LONGEST_WAIT, 500 * 2 ** this.failures++) * (0.8 + 0.4 * Math.random());
        this.lost(wait);
        await this.pause(wait);
      }
    }
  }

  async follow() {
    const silent = new AbortController();
    this.unseen = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
    };
    heard();
    try {
      const signal = AbortSignal.any([silent.signal, this.unseen.signal, this.ended.signal]);
      const response = await this.api.ask("events", { signal });
      for await (const { event, data } of events(response, heard)) {
        if (event === "endpoints") this.show(JSON.parse(data));
      }
      throw new Error("The gateway ended the connection.");
    } catch (error) {
      if (this.unseen.signal.aborted) return;
      if (!(error instanceof Problem && error.code === "too_many_listeners")) throw error;
      this.listenAgain = performance.now() + CROWDED;
    } finally {
      clearTimeout(timer);
    }
  }

  async look() {
    this.show(await this.api.get("endpoints"));
    if (this.soon > 0) this.soon--;
    await this.pause(document.hidden ? ASK_HIDDEN : this.soon ? ASK_SOON : ASK_EVERY);
  }

  show({ endpoints }) {
    if (this.ended.signal.aborted) return;
    this.failures = 0;
    this.found();
    this.seen(endpoints);
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => { clearTimeout(timer); resolve(); };
    });
  }
}
