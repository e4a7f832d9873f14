// Elements made and filled; nothing is ever parsed as HTML, so no text of others can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name, `on…` as listeners, true and false as present and absent. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Set a text only where it changed: every write would have a screen reader look again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a text, or hide its element when there is none. */
export function writeOrHide(element, text) {
  write(element, text ?? "");
  element.hidden = !text;
}

/** Tell a screen reader; meant for what happens, never for what goes on every second. */
export function say(text) {
  const said = byId("said");
  said.textContent = "";
  setTimeout(() => { said.textContent = text; }, 50);
}

/** Copy text; also where a page without HTTPS has no clipboard of its own. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = h("textarea", { class: "unseen" }, text);
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
