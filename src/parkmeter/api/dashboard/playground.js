// A prompt, the model's answer as it arrives, and the same call for a terminal.

import { Api, Problem } from "./api.js";
import { announce, copy, h, write } from "./dom.js";
import { answerOf, formsOf, likelyForm, piecesOf } from "./prompt_forms.js";
import { events } from "./event_stream.js";
import { awaited } from "./estimate.js";

const WAIT = 60; // seconds that a prompt waits for an endpoint to start

let count = 0;

export class Playground {
  constructor(api, endpoint, holder) {
    Object.assign(this, { api, endpoint, holder, name: endpoint.name, resource: endpoint.api_resource, forms: formsOf(endpoint) });
    const id = `playground-${++count}`;
    this.remembered = `parkmeter.form.${this.name}`;
    this.prompt = h("textarea", { id, rows: "4", maxlength: "20000", oninput: () => this.showCurl(), onkeydown: (event) => this.key(event) });
    this.prompt.value = "write a story about beautiful weather on a tropical island.";
    this.form = h("select", { "aria-label": "Request format", onchange: () => this.formChosen() },
      ...Object.entries(this.forms).map(([key, { title }]) => h("option", { value: key }, title)));
    this.form.value = sessionStorage.getItem(this.remembered) ?? likelyForm(endpoint);
    this.length = h("input", { type: "number", min: "1", max: "4096", value: "120", "aria-label": "Most tokens of the answer", oninput: () => this.showCurl() });
    this.send = h("button", { type: "submit", class: "strong" }, "Send");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.running?.abort() }, "Stop");
    this.answer = h("div", { class: "answer", role: "region", "aria-label": "Answer", tabindex: "0", hidden: true });
    this.note = h("p", { class: "hint" });
    this.curl = h("code");
    this.copied = h("button", { type: "button", class: "small", onclick: () => this.copyCurl() }, "Copy");
    this.element = h(
      "form", { class: "playground", onsubmit: (event) => { event.preventDefault(); this.ask(); } },
      h("label", { for: id }, "Prompt"), this.prompt,
      h("div", { class: "row" }, this.form, h("label", { class: "inline" }, "at most ", this.length, " tokens"),
        h("span", { class: "push" }), this.stop, this.send),
      this.answer, this.note,
      h("div", { class: "row" }, h("h4", {}, "The same at a terminal"), h("span", { class: "push" }), this.copied),
      h("pre", { class: "scroll", tabindex: "0", role: "region", "aria-label": "curl command" }, this.curl),
    );
    this.showCurl();
  }

  close() { this.running?.abort(); }

  /** Update what a waiting prompt waits for. */
  update(endpoint) {
    this.endpoint = endpoint;
    if (this.running) this.showWait();
  }

  showWait() {
    const waits = !this.answer.textContent && !["running", "stopped"].includes(this.endpoint.status);
    write(this.note, waits ? `Waiting for ${awaited(this.endpoint)}.` : "");
  }

  get chosen() { return this.forms[this.form.value]; }

  get payload() { return this.chosen.payload(this.prompt.value, Number(this.length.value) || 120, this.name); }

  /** A chat goes to the address of all models, which puts the id that the server knows in place of the name. */
  get path() { return this.chosen.path ?? this.resource; }

  /** The URL as README and docs have it: with the stage, which the local gateway takes and API Gateway's has. */
  get address() {
    const staged = this.holder.events && !new URL(document.baseURI).pathname.endsWith("/prod/");
    return Api.address(staged ? `prod/${this.path}` : this.path);
  }

  key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.ask(); }
  }

  formChosen() {
    sessionStorage.setItem(this.remembered, this.form.value);
    this.note.textContent = "";
    this.showCurl();
  }

  showCurl() {
    const body = JSON.stringify(this.payload).replaceAll("'", "'\\''");
    write(this.curl, `curl ${this.chosen.streamed ? "-N " : ""}${this.address} \\\n`
      + "  -H \"Authorization: $TOKEN\" \\\n  -H 'Content-Type: application/json' \\\n"
      + `  -d '${body}'`);
  }

  async copyCurl() {
    await copy(this.curl.textContent);
    this.copied.textContent = "Copied";
    announce("Copied; put your token into TOKEN");
    setTimeout(() => { this.copied.textContent = "Copy"; }, 2_000);
  }

  async ask() {
    if (this.running) return;
    this.running = new AbortController();
    this.busy(true);
    this.showWait();
    if (this.note.textContent) announce(this.note.textContent);
    const started = performance.now();
    let note = "";
    try {
      const response = await this.api.ask(this.path, {
        method: "POST", body: JSON.stringify(this.payload), signal: this.running.signal,
        headers: { "Content-Type": "application/json", Accept: "text/event-stream, application/json;q=0.5", Prefer: `wait=${WAIT}` },
      });
      for await (const piece of textOf(response)) this.answer.append(piece);
      note = `${((performance.now() - started) / 1000).toFixed(1)} s`;
      if (!this.answer.textContent) note = `An empty answer, after ${note}`;
      announce(`Answer: ${this.answer.textContent}`);
    } catch (error) {
      note = this.running.signal.aborted ? "Stopped." : reasonOf(error, this.endpoint, this.holder);
      if (!this.running.signal.aborted) announce(note);
    } finally {
      this.running = null;
      this.busy(false);
      this.note.textContent = note;
    }
  }

  busy(now) {
    this.answer.hidden = false;
    this.answer.setAttribute("aria-busy", String(now));
    this.send.hidden = now;
    this.stop.hidden = !now;
    if (!now) return;
    this.answer.textContent = this.note.textContent = "";
    this.stop.focus();
  }
}

/** Yield the pieces of an answer's text, streamed or whole. */
async function* textOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("text/event-stream")) {
    const body = await response.text();
    try { yield answerOf(JSON.parse(body)); } catch { yield body; }
    return;
  }
  for await (const { event, data } of events(response)) {
    if (data === "[DONE]") return;
    const document = JSON.parse(data);
    if (event === "error" || document.error) throw new Error(document.detail ?? document.error?.message ?? "The model failed.");
    yield* piecesOf(document);
  }
}

function reasonOf(error, endpoint, holder) {
  if (!(error instanceof Problem)) return error instanceof TypeError ? "The connection broke off." : error.message;
  // The reader has buttons, so the call in the problem's text is of no use.
  if (error.code === "meter_closed" && !error.data.held_by) {
    const next = holder.may("top-up", endpoint.name) ? "press +30 min, then Send" : "ask a holder of a token with the scope top-up";
    return `The meter of ${endpoint.name} holds no time: ${next}.`;
  }
  if (error.code === "not_serving") return `No answer from ${awaited(endpoint)}. Send again to keep waiting.`;
  // A model's own error is not one of our problems; its message is elsewhere.
  const { error: theirs, message } = error.data;
  return theirs?.message ?? (typeof theirs === "string" ? theirs : message) ?? error.message;
}
