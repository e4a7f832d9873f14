// What a card shows of an endpoint at a moment between two answers. Pure; knows no element.

import { countdown, moment } from "./format.js";

/**
 * One endpoint as last heard of, at `heard` on the steady clock (milliseconds). While a start uses its credit,
 * failed attempts included, the meter stands still: `closes_at` moves away from `expires_at`.
 */
export class Sight {
  constructor(endpoint, heard, before) {
    this.endpoint = endpoint;
    this.heard = heard;
    this.stood = new Date(endpoint.closes_at) - new Date(endpoint.expires_at);
    // Not any longer than before: the credit is used up.
    this.still = this.stood > 0 && this.stood !== before?.stood;
  }

  /** Seconds since it was heard of. */
  age(now) { return Math.max(0, (now - this.heard) / 1000); }

  left(now) {
    const left = this.endpoint.seconds_left;
    return this.still ? left : Math.max(0, left - this.age(now));
  }

  /** Dollars since the present start; null if unknown. */
  spent(now) {
    const { cost_so_far: cost, price_per_hour: price, status } = this.endpoint;
    if (cost == null) return null;
    const costs = status !== "stopped" && price != null;
    return Number(cost) + (costs ? (Number(price) * this.age(now)) / 3600 : 0);
  }

  /** Minutes before the close at which people are warned; never empty. */
  get warnings() {
    const minutes = this.endpoint.warn_minutes ?? [10, 2];
    return minutes.length ? minutes : [0];
  }

  /** What colour it has: the status, or how near the close is. */
  tone(now) {
    if (this.endpoint.status !== "running") return this.endpoint.status;
    const minutes = this.left(now) / 60;
    if (minutes <= Math.min(...this.warnings)) return "last";
    return minutes <= Math.max(...this.warnings) ? "first" : "running";
  }

  /** Since when a start is under way, and how long it usually takes; null when none is. */
  start(now, today = new Date()) {
    const { status, starting_since: since, usual_start_seconds: usual } = this.endpoint;
    if (status !== "starting" || !since) return null;
    // By the two wall clocks only where it must be: they may differ, and it is never negative.
    const seconds = Math.max(0, (today - new Date(since)) / 1000);
    return { seconds, usual: usual ?? null };
  }
}

/** What a prompt waits for while it is not served, as one phrase. */
export function awaited(endpoint) {
  const { name, status, next_try: next, usual_start_seconds: usual } = endpoint;
  const why = endpoint.cause.replace(/\.$/, "");
  if (status === "failed") {
    return `${name}: failed, ${why}${next ? `; next try at ${moment(new Date(next), { exact: true })}` : ""}`;
  }
  return `${name}: ${why}${status === "starting" && usual ? `, usually ${countdown(usual)}` : ""}`;
}

/** What it would cost from now until then; null if the price is unknown. */
export function until(then, now, price) {
  return price == null ? null : (Number(price) * (then - now)) / 3_600_000;
}
