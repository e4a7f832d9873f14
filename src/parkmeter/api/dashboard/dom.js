// Creates and fills elements; no text is parsed as HTML, so foreign text cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element: attributes by name, `on…` as listeners, true and false as present and absent. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element in the same way. */
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

/** Set a text if it has changed: every write makes a screen reader check the element. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a text, or hide its element when there is none. */
export function writeOrHide(element, text) {
  write(element, text ?? "");
  element.hidden = !text;
}

/** Announce an event to screen readers; not for what changes every second. */
export function announce(text) {
  const region = byId("announcement");
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

/** Copy text, also on a page without HTTPS, which has no clipboard API. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = h("textarea", { class: "unseen" }, text);
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
