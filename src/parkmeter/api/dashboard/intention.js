// One press and what it means. A double click, and a press again after no answer came, mean the same one thing.

import { newKey } from "./api.js";

// From a press on, so long a further one belongs to it: the slowest double click of common systems.
const ONE_PRESS = 700;

export class Intention {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.what = null;
    this.under = false;
  }

  /** The key to send `what` with, or null if it is a part of the press before. */
  press(what) {
    const now = this.now();
    if (this.under || (what === this.what && now - this.pressed < ONE_PRESS)) return null;
    // Not answered yet: whether it was done is not known, so it goes out as the same thing once more.
    if (what !== this.what || this.answered) this.key = newKey();
    Object.assign(this, { what, pressed: now, under: true, answered: false });
    return this.key;
  }

  /** The press came to its end; `answered`: with an answer, whatever that is. */
  done(answered) { Object.assign(this, { under: false, answered }); }
}
