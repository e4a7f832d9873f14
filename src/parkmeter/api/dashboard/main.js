// The page: signing in and out, the endpoints' cards, and the state of the connection.

import { Api, Problem } from "./api.js";
import { Card } from "./cards.js";
import { announce, byId, h, write, writeOrHide } from "./dom.js";
import { countdown, inWords } from "./format.js";
import { Live } from "./live.js";
import { Holder, session } from "./session.js";

const cards = new Map();
const none = h("p", { class: "notice" }, "This token sees no endpoint.");
let live = null;
let received = null;

// ── Signing in and out ──────────────────────────────────────────────────────────────────────────────

async function enter(token) {
  const api = new Api(token);
  const holder = new Holder(await api.get("whoami"));
  session.keep(token);
  byId("sign-in").hidden = true;
  byId("token").value = "";
  writeOrHide(byId("who"), holder.name);
  byId("sign-out").hidden = false;
  live = new Live(api, holder.events, {
    received: (endpoints) => update(api, holder, endpoints),
    lost,
    connected,
    refused: (problem) => leave(refusal(problem)),
  });
}

/** Return why signing in failed; the place of the tokens is named above the field. */
function refusal(error) {
  if (!(error instanceof Problem)) return "The gateway does not answer. Is it running?";
  return error.signedOut ? "This token is unknown, expired or revoked." : error.message;
}

function leave(reason) {
  live?.stop();
  live = received = null;
  session.end();
  for (const card of cards.values()) card.remove();
  cards.clear();
  none.remove();
  byId("sign-out").hidden = byId("who").hidden = byId("connection").hidden = byId("lost").hidden = true;
  document.title = "parkmeter";
  byId("sign-in").hidden = false;
  writeOrHide(byId("sign-in-problem"), reason);
  byId("token").focus();
}

byId("sign-out").addEventListener("click", () => leave());
byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  if (!token) return;
  writeOrHide(byId("sign-in-problem"), "");
  try {
    await enter(token);
    byId("main").focus();
  } catch (error) {
    writeOrHide(byId("sign-in-problem"), refusal(error));
  }
});

// ── Updates ─────────────────────────────────────────────────────────────────────────────────────────

function update(api, holder, endpoints) {
  received = performance.now();
  const place = byId("endpoints"), names = new Set(endpoints.map(({ name }) => name));
  for (const [name, card] of cards) if (!names.has(name)) { card.remove(); cards.delete(name); }
  for (const endpoint of endpoints) {
    let card = cards.get(endpoint.name);
    if (!card) {
      card = new Card(api, holder, endpoint.name, () => live?.now());
      cards.set(endpoint.name, card);
      // The panel follows its card in the order of the keyboard.
      place.append(card.element, card.panel);
      card.update(endpoint, received);
      if (endpoints.length === 1 && matchMedia("(min-width: 62rem)").matches) card.open();
    } else card.update(endpoint, received);
  }
  place.classList.toggle("single", endpoints.length === 1);
  none.hidden = endpoints.length > 0;
  if (!none.hidden) place.append(none);
  tick();
}

function connected() {
  const connection = byId("connection");
  if (connection.dataset.state === "lost") announce("Connected again");
  connection.dataset.state = "live";
  writeOrHide(connection, "live");
  byId("lost").hidden = true;
}

function lost() {
  const connection = byId("connection");
  if (connection.dataset.state !== "lost") announce("Connection lost, retrying");
  connection.dataset.state = "lost";
  writeOrHide(connection, "no connection");
  tick();
}

function tick() {
  const now = performance.now();
  for (const card of cards.values()) card.tick(now);
  const nearest = [...cards.values()].map((card) => card.estimate).filter((estimate) => estimate.left(now) > 0)
    .sort((a, b) => a.left(now) - b.left(now))[0];
  const title = nearest ? `${countdown(nearest.left(now))} ${nearest.endpoint.name} · parkmeter` : "parkmeter";
  if (document.title !== title) document.title = title;
  if (byId("connection").dataset.state !== "lost" || byId("connection").hidden) return;
  const age = received === null ? null : inWords(Math.max(1, (now - received) / 1000));
  const data = age ? ` You see data from ${age} ago; the meters keep running.` : "";
  write(byId("lost"), `Connection lost, retrying.${data}`);
  byId("lost").hidden = false;
}

// Four times a second, so that no second is skipped; only changed text is written.
setInterval(tick, 250);

// ── Start ───────────────────────────────────────────────────────────────────────────────────────────

async function resume() {
  try {
    await enter(session.token);
  } catch (error) {
    if (error instanceof Problem && error.status < 500) { leave(refusal(error)); return; }
    // The token may still be valid: it is kept, and tried again.
    lost();
    setTimeout(resume, 2_000);
  }
}

if (session.token) resume(); else leave();
