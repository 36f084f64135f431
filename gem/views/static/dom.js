/**
 * Elements from plain values. Texts become text nodes, never markup, so that names and texts from files are inert.
 */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * @param {Element} element
 * @param {Object<string, *>} props attributes; `onclick` and the like are listeners; null and false are left out
 * @param {Array<*>} children elements, texts, arrays of both
 */
function filled(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** An HTML element. @returns {HTMLElement} */
export function h(tag, props, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** An SVG element. @returns {SVGElement} */
export function svg(tag, props, ...children) {
  return filled(document.createElementNS(SVG_NAMESPACE, tag), props, children);
}

/** Replace what is in an element. */
export function refill(element, ...children) {
  element.replaceChildren();
  return filled(element, {}, children);
}

/** A value kept between two limits. */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), Math.max(low, high));
}

/** Seconds for readers: `1.40 s`, or `3:02:10` in a long recording. */
export function clock(seconds, long = false) {
  if (!long) return `${seconds.toFixed(2)} s`;
  const whole = Math.max(0, seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours}:${String(minutes).padStart(2, "0")}:${(whole % 60).toFixed(1).padStart(4, "0")}`;
}
