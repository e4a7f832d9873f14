// The page: who is signed in, the cards of the endpoints, and whether what they show is fresh.

import { Api, Problem } from "./api.js";
import { Card } from "./cards.js";
import { byId, h, say, write, writeOrHide } from "./dom.js";
import { countdown } from "./format.js";
import { Live } from "./live.js";
import { Holder, session } from "./session.js";

const cards = new Map();
const none = h("p", { class: "notice" }, "This token sees no endpoint.");
let live = null;
let heard = null;

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
    seen: (endpoints) => seen(api, holder, endpoints),
    lost,
    found,
    refused: (problem) => leave(whyNot(problem)),
  });
}

/** Why nobody was signed in. Where tokens are stands above the field already. */
function whyNot(error) {
  if (!(error instanceof Problem)) return "The gateway does not answer. Is it running?";
  return error.signedOut ? "This token is unknown, expired or revoked." : error.message;
}

function leave(reason) {
  live?.stop();
  live = heard = null;
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
    writeOrHide(byId("sign-in-problem"), whyNot(error));
  }
});

// ── What is heard ───────────────────────────────────────────────────────────────────────────────────

function seen(api, holder, endpoints) {
  heard = performance.now();
  const place = byId("endpoints"), names = new Set(endpoints.map(({ name }) => name));
  for (const [name, card] of cards) if (!names.has(name)) { card.remove(); cards.delete(name); }
  for (const endpoint of endpoints) {
    let card = cards.get(endpoint.name);
    if (!card) {
      card = new Card(api, holder, endpoint.name, () => live?.now());
      cards.set(endpoint.name, card);
      // The panel follows its card, so that the keyboard finds it there.
      place.append(card.element, card.panel);
      card.see(endpoint, heard);
      if (endpoints.length === 1 && matchMedia("(min-width: 62rem)").matches) card.open();
    } else card.see(endpoint, heard);
  }
  place.classList.toggle("single", endpoints.length === 1);
  none.hidden = endpoints.length > 0;
  if (!none.hidden) place.append(none);
  tick();
}

function found() {
  const connection = byId("connection");
  if (connection.dataset.state === "lost") say("Connected again");
  connection.dataset.state = "live";
  writeOrHide(connection, "live");
  byId("lost").hidden = true;
}

function lost() {
  const connection = byId("connection");
  if (connection.dataset.state !== "lost") say("Connection lost; trying again");
  connection.dataset.state = "lost";
  writeOrHide(connection, "no connection");
  tick();
}

function tick() {
  const now = performance.now();
  for (const card of cards.values()) card.tick(now);
  const nearest = [...cards.values()].map((card) => card.sight).filter((sight) => sight.left(now) > 0)
    .sort((a, b) => a.left(now) - b.left(now))[0];
  const title = nearest ? `${countdown(nearest.left(now))} ${nearest.endpoint.name} · parkmeter` : "parkmeter";
  if (document.title !== title) document.title = title;
  if (byId("connection").dataset.state !== "lost" || byId("connection").hidden) return;
  const ago = heard === null ? "" : ` Shown is what was known ${countdown((now - heard) / 1000)} ago; meters go on.`;
  write(byId("lost"), `The connection to the gateway is lost; trying again.${ago}`);
  byId("lost").hidden = false;
}

// Four times a second, so that a second is never skipped; written is only what changed.
setInterval(tick, 250);

// ── Beginning ───────────────────────────────────────────────────────────────────────────────────────

async function resume() {
  try {
    await enter(session.token);
  } catch (error) {
    if (error instanceof Problem && error.status < 500) { leave(whyNot(error)); return; }
    // The token may be good: it is kept, and tried again.
    lost();
    setTimeout(resume, 2_000);
  }
}

if (session.token) resume(); else leave();
