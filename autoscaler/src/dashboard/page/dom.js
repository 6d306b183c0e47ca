// Elements from data. Text only ever becomes text: no name, label or error can become markup.

/** Makes an element; children are elements or text, and what is null or false is left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name === 'on') for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text when it differs, so that nothing is read out twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A class that is there or not. */
export const mark = (element, name, on) => element.classList.toggle(name, Boolean(on));

/** Replaces the children when `key` says that something about them has changed. */
export function show(element, key, make) {
  const text = JSON.stringify(key);
  if (element.shown === text) return;
  element.shown = text;
  element.replaceChildren(...[make()].flat().filter(Boolean));
}

/** A bar that is filled to a share from 0 to 1. */
export function meter(share, label, kind = '') {
  const fill = h('span', { class: `fill ${kind}` });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  const now = Math.round(Math.max(0, Math.min(1, share)) * 100);
  return h('span', { class: 'meter', role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': now }, fill);
}
