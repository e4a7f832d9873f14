// The idempotency key of a button: a double click, and a press after a lost answer, are one action.

import { newKey } from "./api.js";

// A press this soon after the last one is part of it: the slowest double click of common systems.
const DOUBLE_CLICK = 700;

export class ActionKey {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.what = null;
    this.pending = false;
  }

  /** Return the key to send `what` with, or null if this press is part of the last one. */
  press(what) {
    const now = this.now();
    if (this.pending || (what === this.what && now - this.pressed < DOUBLE_CLICK)) return null;
    // Without an answer it may have been done, so it is sent again as the same action.
    if (what !== this.what || this.answered) this.key = newKey();
    Object.assign(this, { what, pressed: now, pending: true, answered: false });
    return this.key;
  }

  /** Finish the press; `answered`: an answer came, good or bad. */
  done(answered) { Object.assign(this, { pending: false, answered }); }
}
