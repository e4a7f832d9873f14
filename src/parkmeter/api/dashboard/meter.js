// The dial of a parking meter, as SVG: an arc of the time left, a needle, ticks, the zones of the warnings.

import { s } from "./dom.js";
import { countdown } from "./format.js";

const CENTER = { x: 140, y: 134 };
const FROM = 195, SWEEP = 210; // degrees, clockwise from the left; 0 is the right-hand side
const MINUTE = 60, HOUR = 3600, DAY = 86400;

/** Scales of the dial: length, unit, name of the unit. The first that fits the time left is shown. */
const SCALES = [
  [60, MINUTE, "min"], [120, MINUTE, "min"], [4, HOUR, "hours"], [8, HOUR, "hours"], [12, HOUR, "hours"],
  [24, HOUR, "hours"], [48, HOUR, "hours"], [4, DAY, "days"], [8, DAY, "days"], [16, DAY, "days"],
  [32, DAY, "days"], [64, DAY, "days"], [400, DAY, "days"],
];

export class Dial {
  constructor() {
    this.zones = s("g", { class: "zones" });
    this.ticks = s("g", { class: "ticks" });
    this.left = s("path", { class: "left" });
    this.needle = s("path", {
      class: "needle", d: `M${CENTER.x - 109} ${CENTER.y} l29 -5.5 l0 11 z`,
    });
    this.time = s("text", { x: CENTER.x, y: CENTER.y + 14, class: "time" });
    this.under = s("text", { x: CENTER.x, y: CENTER.y + 36, class: "under" });
    this.element = s(
      "svg", { class: "dial", viewBox: "0 0 280 206", "aria-hidden": "true", focusable: "false" },
      s("path", { class: "post", d: "M124 194 h32 v12 h-32 z" }),
      s("path", { class: "head", d: "M8 138 a132 132 0 0 1 264 0 v40 a20 20 0 0 1 -20 20 h-224 a20 20 0 0 1 -20 -20 z" }),
      s("path", { class: "face", d: "M20 138 a120 120 0 0 1 240 0 v36 a12 12 0 0 1 -12 12 h-216 a12 12 0 0 1 -12 -12 z" }),
      s("path", { class: "track", d: arc(0, 1, 106) }),
      this.zones, this.left, this.ticks, this.needle, this.time, this.under,
    );
  }

  /** Show the seconds left; `warnings` in minutes; `under`: text below the time. */
  show(seconds, warnings, under) {
    const [reach, unit, word] = SCALES.find(([count, of]) => seconds <= count * of) ?? SCALES.at(-1);
    const whole = reach * unit;
    const scale = `${whole} ${warnings}`;
    if (scale !== this.scale) {
      this.scale = scale;
      this.ticks.replaceChildren(...ticks(reach, word));
      this.zones.replaceChildren(...zones(whole, warnings));
    }
    const part = Math.min(1, Math.max(0, seconds / whole));
    this.left.setAttribute("d", part > 0.0005 ? arc(0, part, 106) : "");
    this.needle.style.transform = `rotate(${(FROM - 180) * -1 + part * SWEEP}deg)`;
    const time = countdown(seconds);
    this.time.textContent = time;
    this.time.dataset.size = time.length > 8 ? "small" : time.length > 5 ? "middle" : "large";
    this.under.textContent = under;
  }
}

function ticks(reach, word) {
  const made = [];
  for (let step = 0; step <= 20; step++) {
    const long = step % 5 === 0;
    const [from, to] = [at(step / 20, 97), at(step / 20, long ? 88 : 93)];
    made.push(s("path", { d: `M${from}L${to}`, class: long ? "long" : "" }));
    if (!long) continue;
    // At the ends the numbers are below their ticks, clear of the time.
    const [x, y] = step % 20 ? at(step / 20, 72) : at(step / 20, 95);
    made.push(s("text", { x, y: y + (step % 20 ? 4 : 19) }, String((reach * step) / 20)));
  }
  made.push(s("text", { x: CENTER.x, y: CENTER.y - 38, class: "unit" }, word));
  return made;
}

/** Return the zones of the warnings: amber from the first on, red from the last. */
function zones(whole, warnings) {
  const [first, last] = [Math.max(...warnings), Math.min(...warnings)].map((one) => (one * MINUTE) / whole);
  const made = [];
  if (first > last && first <= 1) made.push(s("path", { class: "first", d: arc(last, first, 114) }));
  if (last > 0 && last <= 1) made.push(s("path", { class: "last", d: arc(0, last, 114) }));
  return made;
}

function at(part, radius) {
  const angle = ((FROM - part * SWEEP) * Math.PI) / 180;
  return [CENTER.x + radius * Math.cos(angle), CENTER.y - radius * Math.sin(angle)].map((x) => Number(x.toFixed(2)));
}

function arc(from, to, radius) {
  const large = (to - from) * SWEEP > 180 ? 1 : 0;
  return `M${at(from, radius)}A${radius} ${radius} 0 ${large} 1 ${at(to, radius)}`;
}
