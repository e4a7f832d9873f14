// Keeps the endpoints up to date: by events where the gateway sends them, else by polling.
// A hidden page polls rarely and holds no connection: a browser has six for a gateway, which a few
// forgotten tabs would use up.

import { Problem } from "./api.js";
import { events } from "./event_stream.js";

const POLL = 5_000, POLL_HIDDEN = 60_000;
// More follows soon after a change: the next polls come at this shorter interval.
const POLL_SOON = 1_000, SOON_POLLS = 4;
// A gateway sends something at least every 15 s; a silent connection is given up.
const SILENCE = 40_000;
const LONGEST_WAIT = 10_000;
// With too many streams open the page polls, and tries a stream again after this time.
const STREAM_RETRY = 60_000;

/**
 * `streamed`: the gateway sends events. Callbacks: `received(endpoints)`; `lost(milliseconds)`: no connection,
 * next attempt after this time; `connected()`; `refused(problem)`: the token is no longer valid, updates end.
 */
export class Live {
  constructor(api, streamed, { received, lost, connected, refused }) {
    Object.assign(this, { api, streamed, received, lost, connected, refused });
    this.streamAgain = -Infinity;
    this.failures = this.soon = 0;
    this.ended = new AbortController();
    const signal = this.ended.signal;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.hidden?.abort(); else this.now();
    }, { signal });
    addEventListener("online", () => this.now(), { signal });
    this.run();
  }

  /** Poll now and soon again, unless events are streamed; called after every change. */
  now() {
    this.soon = SOON_POLLS;
    this.wake?.();
  }

  stop() { this.ended.abort(); this.now(); }

  async run() {
    while (!this.ended.signal.aborted) {
      try {
        if (this.streamed && !document.hidden && performance.now() >= this.streamAgain) await this.follow(); else await this.poll();
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
    this.hidden = new AbortController();
    let timer;
    const received = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
    };
    received();
    try {
      const signal = AbortSignal.any([silent.signal, this.hidden.signal, this.ended.signal]);
      const response = await this.api.ask("events", { signal });
      for await (const { event, data } of events(response, received)) {
        if (event === "endpoints") this.show(JSON.parse(data));
      }
      throw new Error("The gateway ended the connection.");
    } catch (error) {
      if (this.hidden.signal.aborted) return;
      if (!(error instanceof Problem && error.code === "too_many_listeners")) throw error;
      this.streamAgain = performance.now() + STREAM_RETRY;
    } finally {
      clearTimeout(timer);
    }
  }

  async poll() {
    this.show(await this.api.get("endpoints"));
    if (this.soon > 0) this.soon--;
    await this.pause(document.hidden ? POLL_HIDDEN : this.soon ? POLL_SOON : POLL);
  }

  show({ endpoints }) {
    if (this.ended.signal.aborted) return;
    this.failures = 0;
    this.connected();
    this.received(endpoints);
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => { clearTimeout(timer); resolve(); };
    });
  }
}
