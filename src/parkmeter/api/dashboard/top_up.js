// Buttons and a field that add time, and the result.

import { ActionKey } from "./action_key.js";
import { Problem, pathOf } from "./api.js";
import { announce, h, writeOrHide } from "./dom.js";
import { minutes, moment, money } from "./format.js";

const PRESETS = [10, 30, 60];

export class TopUp {
  constructor(api, name, changed) {
    Object.assign(this, { api, name, changed });
    this.actionKey = new ActionKey();
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
    // Dollars buy no countable minutes without a price, or with one of zero.
    if (!(endpoint.price_per_hour > 0)) this.dollars.remove();
    else if (!this.dollars.isConnected) this.unit.append(this.dollars);
  }

  submit(event) {
    event.preventDefault();
    const amount = this.amount.valueAsNumber;
    if (!(amount > 0)) {
      this.showNote("Enter how much to add: a number greater than 0.", "refused");
      this.amount.focus();
      return;
    }
    this.add({ [this.unit.value]: amount });
  }

  async add(amount) {
    const key = this.actionKey.press(JSON.stringify(amount));
    if (key === null) return;
    this.element.setAttribute("aria-busy", "true");
    try {
      const answer = await this.api.change(pathOf(this.name, "/top-ups"), amount, key);
      this.actionKey.done(true);
      this.amount.value = "";
      const paid = answer.dollars != null ? ` for ${money(answer.dollars)}` : "";
      const until = moment(new Date(answer.closes_at), { exact: true });
      this.showNote(`Added ${minutes(answer.minutes)}${paid}. On until ${until}.`, "added");
    } catch (error) {
      this.actionKey.done(error instanceof Problem && error.status < 500);
      this.showNote(reasonOf(error), "refused");
    } finally {
      this.element.removeAttribute("aria-busy");
      this.changed();
    }
  }

  showNote(text, kind) {
    this.note.className = `note ${kind}`;
    writeOrHide(this.note, text);
    announce(`${this.name}: ${text}`);
  }
}

/** Return the reason of a failure, for people. */
export function reasonOf(error) {
  if (error instanceof Problem) return error.message;
  return "No reply, so we can't tell if it went through. Press again; it won't be counted twice.";
}
