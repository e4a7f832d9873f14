// A card per endpoint: dial, status and reason, money, top-up buttons, and panels to open.

import { announce, h, write, writeOrHide } from "./dom.js";
import { eject } from "./eject.js";
import { Estimate, costUntil } from "./estimate.js";
import { duration, inWords, minutes, moment, money, nextMonday, rate } from "./format.js";
import { Dial } from "./meter.js";
import { Playground } from "./playground.js";
import { ReceiptView } from "./receipt.js";
import { Timeline } from "./timeline.js";
import { TopUp, reasonOf } from "./top_up.js";

const PANELS = [["Timeline", Timeline], ["Receipt", ReceiptView], ["Playground", Playground, "invoke"]];

export class Card {
  constructor(api, holder, name, changed) {
    Object.assign(this, { api, holder, name, changed });
    this.dial = new Dial();
    this.timer = h("div", { role: "timer", class: "meter" }, this.dial.element);
    this.badge = h("span", { class: "badge" });
    this.reason = h("p", { class: "reason" });
    this.start = h("div", { class: "start", hidden: true });
    this.facts = new Map(["Price", "Spent", "Monday", "Hours"].map((key) => [key, [h("dt"), h("dd")]]));
    this.topUp = holder.may("top-up", name) ? new TopUp(api, name, changed) : null;
    this.ejectButton = holder.may("admin", name)
      ? h("button", { type: "button", class: "eject", "aria-label": `Eject ${name}`, onclick: () => this.eject() }, "Eject")
      : null;
    this.panel = h("section", { class: "panel", hidden: true, id: `panel-${name}`, tabindex: "-1" });
    this.tabs = PANELS.filter(([, , scope]) => !scope || holder.may(scope, name)).map(([title, View]) => h(
      "button",
      { type: "button", "aria-expanded": "false", "aria-controls": this.panel.id, "aria-label": `${title} of ${name}`,
        onclick: () => { this.toggle(title, View); this.reveal(); } },
      title,
    ));
    this.element = h(
      "article", { class: "card", "aria-labelledby": `name-${name}` },
      h("header", {}, h("h2", { id: `name-${name}` }, name), this.badge),
      this.timer, this.reason, this.start, this.topUp?.element,
      h("dl", { class: "facts" }, ...[...this.facts.values()].map((pair) => h("div", { hidden: true }, ...pair))),
      h("footer", {}, h("div", { class: "tabs" }, ...this.tabs), this.ejectButton),
    );
  }

  /** Show the newest state, received at `received` on the monotonic clock. */
  update(endpoint, received) {
    const before = this.estimate;
    this.estimate = new Estimate(endpoint, received, before);
    const { status } = endpoint;
    if (before && before.endpoint.status !== status) announce(`${this.name}: ${status}, ${endpoint.cause}`);
    write(this.badge, status);
    // The start's duration and the next try are shown below, by the browser's clock.
    write(this.reason, sentence(endpoint.cause));
    this.topUp?.show(endpoint);
    if (this.ejectButton) this.ejectButton.disabled = !(endpoint.seconds_left > 0);
    this.view?.update?.(endpoint);
    this.tick(received);
  }

  /** Update what changes with time; called every second and after each update. */
  tick(now) {
    const { estimate } = this, { endpoint } = estimate, left = estimate.left(now), today = new Date();
    const tone = estimate.tone(now);
    if (this.tone !== tone && this.tone && (tone === "first" || tone === "last") && this.tone !== "last") {
      announce(`${this.name}: ${inWords(left)} left`);
    }
    this.tone = this.element.dataset.tone = tone;
    const closes = endpoint.closes_at && new Date(endpoint.closes_at);
    const under = left <= 0 ? "no time left" : estimate.paused ? "paused" : closes ? `until ${moment(closes)}` : "";
    this.dial.show(left, estimate.warnings, under);
    // To the minute, so that a screen reader is not given a new text every second.
    const label = left > 0 ? `${inWords(left)} left, ${under}` : "No time on the meter";
    if (this.timer.getAttribute("aria-label") !== label) this.timer.setAttribute("aria-label", label);
    this.startProgress(now, today);
    this.money(now, today);
  }

  startProgress(now, today) {
    const { endpoint } = this.estimate, start = this.estimate.start(now, today);
    const retry = endpoint.status === "failed" && endpoint.next_try ? new Date(endpoint.next_try) : null;
    this.start.hidden = !start && !retry;
    if (start) {
      const usual = start.usual ? `, usually takes ${duration(start.usual)}` : "";
      this.bar ??= h("progress", { "aria-label": `Start of ${this.name}` });
      this.words ??= h("p");
      write(this.words, `Starting for ${duration(start.seconds)}${usual}`);
      if (start.usual) {
        this.bar.max = start.usual;
        this.bar.value = Math.min(start.usual, start.seconds);
      } else this.bar.removeAttribute("value");
      if (!this.bar.isConnected) this.start.replaceChildren(this.bar, this.words);
    } else if (retry) {
      this.again ??= h("p");
      const tried = endpoint.attempts > 1 ? `; ${endpoint.attempts} attempts so far` : "";
      write(this.again, `Next try at ${moment(retry, { exact: true })}${tried}.`);
      if (!this.again.isConnected) this.start.replaceChildren(this.again);
    }
  }

  money(now, today) {
    const { endpoint } = this.estimate, price = endpoint.price_per_hour, monday = nextMonday(today);
    const origin = endpoint.price_source ?? "configuration";
    const source = origin === "configuration" ? "" : ` (${origin})`;
    this.fact("Price", "Price", price == null ? "unknown" : `${rate(price)} an hour${source}`);
    const spent = this.estimate.spent(now);
    const running = endpoint.status !== "stopped";
    this.fact("Spent", "Spent since the start", running ? money(spent) : null);
    this.fact("Monday", `If left on until ${moment(monday)}`, price == null || !(running || this.estimate.left(now) > 0)
      ? null : money(costUntil(monday, today, price)));
    this.fact("Hours", "Hours", endpoint.hours ? this.hours(endpoint) : null);
  }

  hours(endpoint) {
    const { hours, held, window_until: end, next_window_at: next } = endpoint;
    const again = next ? `, next ${moment(new Date(next))}` : "";
    const text = Array.isArray(hours) ? hours.join("; ") : hours;
    if (held) return `${text}: ejected${again}`;
    return end ? `${text}: on until ${moment(new Date(end))}` : `${text}${again}`;
  }

  fact(key, name, value) {
    const [term, text] = this.facts.get(key);
    term.parentElement.hidden = value == null;
    write(term, name);
    write(text, value ?? "");
  }

  async eject() {
    const { endpoint } = this.estimate;
    try {
      const answer = await eject(this.api, endpoint, this.estimate.left(performance.now()));
      if (answer) this.showNote(`Ejected; ${minutes(Math.abs(answer.minutes))} given up.`, "added");
    } catch (error) {
      this.showNote(reasonOf(error), "refused");
    }
    this.changed();
  }

  showNote(text, kind) {
    if (this.topUp) { this.topUp.showNote(text, kind); return; }
    this.note ??= h("p");
    this.note.className = `note ${kind}`;
    writeOrHide(this.note, text);
    this.element.lastElementChild.before(this.note);
    announce(`${this.name}: ${text}`);
  }

  /** Open a panel, or close the one that is open. */
  toggle(title, View) {
    this.view?.close?.();
    const opening = this.title !== title;
    this.title = opening ? title : null;
    this.view = opening ? new View(this.api, this.estimate.endpoint, this.holder) : null;
    for (const tab of this.tabs) tab.setAttribute("aria-expanded", String(tab.textContent === this.title));
    this.panel.hidden = !opening;
    this.panel.setAttribute("aria-label", `${title} of ${this.name}`);
    this.panel.replaceChildren(...(opening ? [h("h3", {}, title, h("small", {}, this.name)), this.view.element] : []));
    this.view?.opened?.();
  }

  /** Scroll to a panel that the reader opened. */
  reveal() {
    if (this.panel.hidden) return;
    const { top } = this.panel.getBoundingClientRect();
    if (top >= 0 && top < innerHeight / 2) return;
    const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.panel.scrollIntoView({ behavior: reduced ? "instant" : "smooth", block: "start" });
  }

  /** Open the first panel. */
  open() { this.toggle(...PANELS[0]); }

  remove() {
    this.view?.close?.();
    this.element.remove();
    this.panel.remove();
  }
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".") : "";
}
