// The state of an endpoint between two answers, estimated from the last one. Pure; knows no element.

import { duration, moment } from "./format.js";

/**
 * An endpoint as received at `received` on the monotonic clock (milliseconds). While a start uses its credit,
 * failed attempts included, the meter stands still: `closes_at` moves away from `expires_at`.
 */
export class Estimate {
  constructor(endpoint, received, before) {
    this.endpoint = endpoint;
    this.received = received;
    this.credit = new Date(endpoint.closes_at) - new Date(endpoint.expires_at);
    // If it no longer grows, the credit is used up.
    this.paused = this.credit > 0 && this.credit !== before?.credit;
  }

  /** Return the age of the data in seconds. */
  age(now) { return Math.max(0, (now - this.received) / 1000); }

  left(now) {
    const left = this.endpoint.seconds_left;
    return this.paused ? left : Math.max(0, left - this.age(now));
  }

  /** Return the dollars since the present start; null if unknown. */
  spent(now) {
    const { cost_so_far: cost, price_per_hour: price, status } = this.endpoint;
    if (cost == null) return null;
    const costs = status !== "stopped" && price != null;
    return Number(cost) + (costs ? (Number(price) * this.age(now)) / 3600 : 0);
  }

  /** Return the minutes before the close at which warnings are sent; never empty. */
  get warnings() {
    const minutes = this.endpoint.warn_minutes ?? [10, 2];
    return minutes.length ? minutes : [0];
  }

  /** Return the tone of the card: the status, or how near the close is. */
  tone(now) {
    if (this.endpoint.status !== "running") return this.endpoint.status;
    const minutes = this.left(now) / 60;
    if (minutes <= Math.min(...this.warnings)) return "last";
    return minutes <= Math.max(...this.warnings) ? "first" : "running";
  }

  /** Return the seconds of the present start and its usual seconds; null without a start. */
  start(now, today = new Date()) {
    const { status, starting_since: since, usual_start_seconds: usual } = this.endpoint;
    if (status !== "starting" || !since) return null;
    // The browser's and the gateway's clocks may differ, so it is kept from being negative.
    const seconds = Math.max(0, (today - new Date(since)) / 1000);
    return { seconds, usual: usual ?? null };
  }
}

/** Return as a phrase what a waiting prompt waits for. */
export function awaited(endpoint) {
  const { name, status, next_try: next, usual_start_seconds: usual } = endpoint;
  const cause = endpoint.cause.replace(/\.$/, "");
  if (status === "failed") {
    return `${name}: failed, ${cause}${next ? `; next try at ${moment(new Date(next), { exact: true })}` : ""}`;
  }
  return `${name}: ${cause}${status === "starting" && usual ? `, usually takes ${duration(usual)}` : ""}`;
}

/** Return the cost from `now` to `then` in dollars; null if the price is unknown. */
export function costUntil(then, now, price) {
  return price == null ? null : (Number(price) * (then - now)) / 3_600_000;
}
