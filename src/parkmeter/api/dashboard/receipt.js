// Cost of an endpoint in a period, by token, beside that of always-on; also as CSV.

import { pathOf } from "./api.js";
import { h } from "./dom.js";
import { hours, money } from "./format.js";
import { reasonOf } from "./top_up.js";

const DAY = 86_400_000;

/** Periods by name: from and to; null is the journal's beginning, or now. */
const PERIODS = {
  "This month": (now) => [new Date(now.getFullYear(), now.getMonth(), 1), null],
  "Last month": (now) => [
    new Date(now.getFullYear(), now.getMonth() - 1, 1), new Date(now.getFullYear(), now.getMonth(), 1),
  ],
  "Last 7 days": (now) => [new Date(now - 7 * DAY), null],
  "Last 30 days": (now) => [new Date(now - 30 * DAY), null],
  "From the beginning": () => [null, null],
};

export class ReceiptView {
  constructor(api, { name, price_source: source }) {
    Object.assign(this, { api, name, source, latest: 0 });
    this.period = h("select", { "aria-label": `Period of the receipt of ${name}`, onchange: () => this.load() },
      ...Object.keys(PERIODS).map((title) => h("option", {}, title)));
    this.note = h("p", { class: "hint", role: "status" });
    this.figures = h("dl", { class: "figures" });
    this.parts = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Receipt of ${name} by token` });
    this.element = h(
      "div", { class: "receipt" },
      h("div", { class: "row" }, this.period,
        h("button", { type: "button", onclick: () => this.download() }, "Download CSV")),
      this.note, this.figures, this.parts,
    );
  }

  opened() { this.load(); }

  close() { this.latest = Infinity; }

  query() {
    const [from, to] = PERIODS[this.period.value](new Date());
    const period = new URLSearchParams();
    if (from) period.set("from", from.toISOString());
    if (to) period.set("to", to.toISOString());
    return String(period);
  }

  async load() {
    const request = ++this.latest;
    try {
      const found = await this.api.get(pathOf(this.name, `/receipt?${this.query()}`));
      if (request === this.latest) this.show(found);
    } catch (error) {
      if (request === this.latest) this.note.textContent = reasonOf(error);
    }
  }

  show(receipt) {
    const unpriced = receipt.unpriced_hours > 0 ? `${hours(receipt.unpriced_hours)} had no known price.` : "";
    const demo = this.source?.startsWith("make-believe") ? `Not real money: ${this.source}.` : "";
    this.note.textContent = [demo, unpriced].filter(Boolean).join(" ");
    const figures = [
      ["Hours on", hours(receipt.hours_on)],
      ["Cost", receipt.cost === null && receipt.known_cost ? `at least ${money(receipt.known_cost)}` : money(receipt.cost)],
      ["Always on", money(receipt.always_on_cost)],
      ["Saved", money(receipt.saved), receipt.saved > 0 ? "saved" : null],
      ...tokensUsed(receipt.usage),
    ];
    this.figures.replaceChildren(...figures.map(([term, value, kind]) => h("div", { class: kind }, h("dt", {}, term), h("dd", {}, value))));
    const head = ["Token", "Hours on", "Bought", "Cost"].map((title) => h("th", { scope: "col" }, title));
    const row = (kind, ...cells) => h("tr", {}, h("th", { scope: "row" }, cells[0]), ...cells.slice(1).map((cell) => h(kind, {}, cell)));
    const all = receipt.parts.reduce((sum, part) => sum + part.minutes_bought, 0);
    this.parts.replaceChildren(h(
      "table", {}, h("thead", {}, h("tr", {}, ...head)),
      h("tbody", {}, ...receipt.parts.map((part) => row("td", part.who, hours(part.hours_on), bought(part.minutes_bought), money(part.cost)))),
      h("tfoot", {}, row("td", "Total", hours(receipt.hours_on), bought(all), money(receipt.cost)),
        receipt.queue && row("td", "Its queue, not in the total", hours(receipt.queue.hours_on), "", money(receipt.queue.cost))),
    ));
  }

  /** Fetch the CSV with the token in a header, then save it as a file. */
  async download() {
    try {
      const answer = await this.api.ask(pathOf(this.name, `/receipt.csv?${this.query()}`));
      const name = /filename="?([^";]+)"?/.exec(answer.headers.get("content-disposition") ?? "");
      const address = URL.createObjectURL(await answer.blob());
      h("a", { href: address, download: name?.[1] ?? `receipt-${this.name}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      this.note.textContent = "";
    } catch (error) {
      this.note.textContent = reasonOf(error);
    }
  }
}

/** What a million tokens cost, where the answers said what they used. */
function tokensUsed(usage) {
  if (!usage?.cost_per_million) return [];
  const tokens = (usage.input_tokens + usage.output_tokens).toLocaleString("en", { notation: "compact" });
  return [[`${tokens} tokens`, `${usage.unknown ? "at most " : ""}${money(usage.cost_per_million)} a million`]];
}

function bought(minutes) {
  return `${minutes.toLocaleString("en", { maximumFractionDigits: 1 })} min`;
}
