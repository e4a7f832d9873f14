// Ejects an endpoint after a confirmation.

import { newKey, pathOf } from "./api.js";
import { byId, write } from "./dom.js";
import { inWords } from "./format.js";

/** Ask, then eject. Resolves to the answer, or to null if it is kept; throws as `change` does. */
export async function eject(api, endpoint, left) {
  const dialog = byId("confirm");
  write(byId("confirm-title"), `Eject ${endpoint.name}?`);
  write(byId("confirm-text"), `Ejecting stops it at once and gives up the ${inWords(left)} on its meter. `
    + "Requests in flight may still finish.");
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  if (dialog.returnValue !== "yes") return null;
  // With the expiry shown in the question: a top-up since then makes the gateway refuse.
  return api.change(pathOf(endpoint.name, "/eject"), { expires_at: endpoint.expires_at }, newKey());
}
