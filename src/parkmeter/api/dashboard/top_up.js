// Buttons and a field that add time, and what came of it.

import { Problem, pathOf } from "./api.js";
import { h, say, writeOrHide } from "./dom.js";
import { minutes, moment, money } from "./format.js";
import { Intention } from "./intention.js";

const PRESETS = [10, 30, 60];

export class TopUp {
  constructor(api, name, changed) {
    Object.assign(this, { api, name, changed });
    this.intention = new Intention();
    this.note = h("p", { class: "note", hidden: true });
    this.buttons = PRESETS.map((amount) => h(
      "button",
      { type: "button", class: "add", "aria-label": `+${amount} min for ${name}`,
        onclick: () => this.add({ minutes: amount }) },
      `+${amount}`, h("small", {}, " min"),
    ));
    this.amount = h("input", {
      type: "number", inputmode: "decimal", min: "0", step: "any", required: true, placeholder: "Amount",
      "aria-label": `Amount to add to ${name}`,
    });
    this.dollars = h("option", { value: "dollars" }, "dollars");
    this.unit = h("select", { "aria-label": `Unit of the amount for ${name}` }, h("option", { value: "minutes" }, "minutes"));
    this.form = h(
      "form", { class: "amount", novalidate: true, onsubmit: (event) => this.submit(event) },
      this.amount, this.unit, h("button", { type: "submit", "aria-label": `Add this amount to ${name}` }, "Add"),
    );
    this.element = h(
      "div", { class: "top-up", role: "group", "aria-label": `Add time to ${name}` },
      h("div", { class: "presets" }, ...this.buttons), this.form, this.note,
    );
  }

  show(endpoint) {
    // Minutes cannot be reckoned from dollars without a price, nor from one of nothing.
    if (!(endpoint.price_per_hour > 0)) this.dollars.remove();
    else if (!this.dollars.isConnected) this.unit.append(this.dollars);
  }

  submit(event) {
    event.preventDefault();
    const amount = this.amount.valueAsNumber;
    if (!(amount > 0)) {
      this.tell("Type how much to add: a number greater than 0.", "refused");
      this.amount.focus();
      return;
    }
    this.add({ [this.unit.value]: amount });
  }

  async add(wanted) {
    const key = this.intention.press(JSON.stringify(wanted));
    if (key === null) return;
    this.element.setAttribute("aria-busy", "true");
    try {
      const answer = await this.api.change(pathOf(this.name, "/top-ups"), wanted, key);
      this.intention.done(true);
      this.amount.value = "";
      const paid = answer.dollars != null ? ` for ${money(answer.dollars)}` : "";
      const until = moment(new Date(answer.closes_at), { exact: true });
      this.tell(`Added ${minutes(answer.minutes)}${paid}. On until ${until}.`, "added");
    } catch (error) {
      this.intention.done(error instanceof Problem && error.status < 500);
      this.tell(why(error), "refused");
    } finally {
      this.element.removeAttribute("aria-busy");
      this.changed();
    }
  }

  tell(text, kind) {
    this.note.className = `note ${kind}`;
    writeOrHide(this.note, text);
    say(`${this.name}: ${text}`);
  }
}

/** Why something was not done, for people. */
export function why(error) {
  if (error instanceof Problem) return error.message;
  return "No answer came, so it is not known whether this was done. Press again: it is done once.";
}
