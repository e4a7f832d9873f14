// The last hour, day, week or month: statuses as a band, top-ups as ticks, requests per minute.

import { pathOf } from "./api.js";
import { h, s } from "./dom.js";
import { duration, minutes, moment } from "./format.js";
import { reasonOf } from "./top_up.js";

const HOUR = 3_600_000, DAY = 24 * HOUR;
const SPANS = [["1 hour", HOUR], ["24 hours", DAY], ["7 days", 7 * DAY], ["30 days", 30 * DAY]];
// Margins of the band and the chart; the right one has room for half of a day's label.
const LEFT = 38, RIGHT = 24;
const WHOLE_DAYS = [1, 2, 3, 5, 7, 10].map((days) => (days * DAY) / 1000);
const REFRESH = 60_000;
const SHOWN = 100; // rows of the table

let count = 0;

export class Timeline {
  constructor(api, endpoint) {
    const { name } = endpoint;
    Object.assign(this, { api, name, span: DAY, latest: 0, known: state(endpoint) });
    const group = `span-${++count}`;
    const choices = SPANS.map(([title, span]) => h(
      "label", { class: "choice" },
      h("input", { type: "radio", name: group, checked: span === DAY, onchange: () => { this.span = span; this.load(); } }),
      h("span", {}, title),
    ));
    this.state = h("p", { class: "hint" });
    this.band = s("svg", { class: "band", role: "img", "aria-label": `Timeline of ${name}` });
    this.chart = h("div", { class: "chart", "aria-hidden": "true" });
    this.caption = h("p", { class: "hint" });
    this.table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Events of ${name}` });
    this.element = h(
      "div", { class: "timeline" },
      h("fieldset", { class: "choices" }, h("legend", { class: "unseen" }, "Time shown"), ...choices),
      this.state, this.band, legend(), this.chart, this.caption,
      h("details", {}, h("summary", {}, "As a list"), this.table),
    );
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
  }

  opened() {
    this.sized = new ResizeObserver(this.redraw);
    this.sized.observe(this.element);
    this.dark.addEventListener("change", this.redraw);
    this.timer = setInterval(() => { if (!document.hidden) this.load(); }, REFRESH);
    this.load();
  }

  close() {
    clearInterval(this.timer);
    this.sized?.disconnect();
    this.dark.removeEventListener("change", this.redraw);
    this.plot?.destroy();
    this.latest = Infinity;
  }

  /** Load again after a change of the endpoint. */
  update(endpoint) {
    if (this.known === state(endpoint)) return;
    this.known = state(endpoint);
    this.load();
  }

  async load() {
    const request = ++this.latest, to = new Date(), from = new Date(to - this.span);
    const period = new URLSearchParams({ from: from.toISOString(), to: to.toISOString() });
    try {
      const found = await this.api.get(pathOf(this.name, `/timeline?${period}`));
      if (request !== this.latest) return;
      this.state.textContent = "";
      this.shown = { from: +from, to: +to, ...read(found) };
      this.draw();
      this.list();
    } catch (error) {
      if (request === this.latest) this.state.textContent = reasonOf(error);
    }
  }

  draw() {
    const width = this.element.clientWidth;
    if (!this.shown || !width || !this.element.isConnected) return;
    this.drawBand(width);
    this.drawChart(width);
  }

  drawBand(width) {
    const { from, to, stretches, topUps } = this.shown;
    const x = (at) => Number((LEFT + ((Math.min(to, Math.max(from, at)) - from) / (to - from)) * (width - LEFT - RIGHT)).toFixed(1));
    const parts = stretches.map((one) => s(
      "rect",
      { x: x(one.begin), y: 24, height: 26, width: Math.max(1, x(one.end) - x(one.begin)), "data-status": one.status },
      s("title", {}, `${one.status}, ${moment(new Date(one.begin))} to ${moment(new Date(one.end))}${one.reason ? `: ${one.reason}` : ""}`),
    ));
    const ticks = topUps.map((one) => s(
      "g", { class: "tick" },
      s("path", { d: `M${x(one.at)} 20v34` }), s("circle", { cx: x(one.at), cy: 15, r: 5 }),
      s("title", {}, `${moment(new Date(one.at))}: ${signed(one)} by ${one.by ?? "another token"}`),
    ));
    this.band.setAttribute("viewBox", `0 0 ${width} 58`);
    this.band.setAttribute("width", width);
    this.band.setAttribute("height", 58);
    this.band.setAttribute("aria-label", this.summary());
    this.band.replaceChildren(
      s("rect", { class: "whole", x: LEFT, y: 24, height: 26, width: width - LEFT - RIGHT }), ...parts, ...ticks,
    );
  }

  summary() {
    const { stretches, topUps } = this.shown;
    const on = stretches.filter(({ status }) => status === "running").reduce((sum, one) => sum + one.end - one.begin, 0);
    const people = new Set(topUps.map(({ by }) => by).filter(Boolean));
    const by = people.size ? ` by ${[...people].join(", ")}` : "";
    return `Running for ${duration(on / 1000)}, ${topUps.length} top-ups${by}; the list below has all.`;
  }

  drawChart(width) {
    const { from, to, requests } = this.shown, style = getComputedStyle(this.element);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
      font: "12px system-ui, sans-serif" };
    this.plot?.destroy();
    this.plot = new globalThis.uPlot({
      width, height: 150, legend: { show: false }, padding: [8, RIGHT, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { range: [from / 1000, to / 1000] }, y: { range: (_, __, most) => [0, Math.max(5, most ?? 0) * 1.1] } },
      axes: [
        { ...axis, size: 28, grid: { show: false }, space: 70, ...(this.span > DAY ? { incrs: WHOLE_DAYS } : {}), values: (_, splits) => splits.map((at) => this.label(at * 1000)) },
        { ...axis, size: LEFT, space: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5] },
      ],
      series: [{}, { stroke: colour("--running"), fill: colour("--running-soft"), width: 1.5, points: { show: false } }],
    }, requests, this.chart);
    this.caption.textContent = caption(this.shown);
  }

  label(at) {
    const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
    const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    return (this.span > DAY ? day : time).format(at);
  }

  list() {
    const { stretches, topUps } = this.shown;
    const rows = [
      ...stretches.map((one) => [one.begin, one.status, one.reason ?? ""]),
      ...topUps.map((one) => [one.at, "top-up", `${signed(one)} by ${one.by ?? "another token"}`]),
    ].sort((a, b) => b[0] - a[0]).slice(0, SHOWN);
    this.table.replaceChildren(h(
      "table", {},
      h("thead", {}, h("tr", {}, ...["When", "What", "More"].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, ...rows.map(([at, what, more]) => h(
        "tr", {}, h("td", {}, h("time", { datetime: new Date(at).toISOString() }, moment(new Date(at), { exact: true }))),
        h("td", {}, what), h("td", {}, more),
      ))),
    ));
  }
}

function state({ status, expires_at: expires }) {
  return `${status} ${expires}`;
}

function signed({ minutes: amount }) {
  return `${amount < 0 ? "−" : "+"}${minutes(Math.abs(amount))}`;
}

function caption({ counted, total, slot }) {
  if (!counted) return "The number of requests is not known at the moment.";
  if (!total) return "Requests per minute: none in this time.";
  const over = { 1: "", 60: ", averaged over hours" }[slot] ?? `, averaged over ${slot} minutes`;
  return `Requests per minute${over}; ${total.toLocaleString("en")} in all.`;
}

/** Return an answer with times as numbers, and requests per minute as uPlot takes them: a value for every slot. */
function read({ from, to, stretches, top_ups: topUps, requests, request_minutes: slot }) {
  const number = (at) => Math.floor(new Date(at) / 60_000 / slot);
  const counts = new Map((requests ?? []).map(({ at, count: many }) => [number(at), many]));
  const times = [], values = [];
  for (let one = number(from); one <= number(to); one++) {
    times.push(one * slot * 60);
    values.push((counts.get(one) ?? 0) / slot);
  }
  return {
    stretches: stretches.map((one) => ({ ...one, begin: +new Date(one.begin), end: +new Date(one.end) })),
    topUps: topUps.map((one) => ({ ...one, at: +new Date(one.at) })),
    requests: [times, values],
    counted: requests !== null, total: [...counts.values()].reduce((sum, many) => sum + many, 0), slot,
  };
}

function legend() {
  const one = (status) => h("li", {}, h("i", { "data-status": status }), status);
  return h("ul", { class: "legend", "aria-hidden": "true" }, ...["running", "starting", "failed", "stopped"].map(one),
    h("li", {}, h("i", { class: "tick" }), "top-up"));
}
