// Pause, resume, scale: asked for, confirmed, sent with the admin token. The token lives in this
// module's memory alone: no storage, no cookie, no form that a browser could keep.

import { byId, h, say } from './dom.js';
import { short } from './format.js';

/** Without an order for so long the token is forgotten. */
const FORGET_MS = 15 * 60 * 1000;

const PAUSES = [[600, '10 minutes'], [3600, 'an hour'], [28800, '8 hours'], [86400, 'a day'], [604800, 'a week']];

let token = null;
let timer = 0;
let stack = null;

export const ofStack = (name) => { stack = name; };

function keep(value) {
  token = value;
  clearTimeout(timer);
  byId('forget').hidden = token === null;
  if (token !== null) timer = setTimeout(() => keep(null), FORGET_MS);
}

byId('forget').addEventListener('click', () => keep(null));
// A page that is left must not come back with its token by the button "back".
addEventListener('pagehide', () => keep(null));

const field = (label, input, hint) => h('label', { class: 'field' }, h('span', {}, label), input, hint ? h('small', { class: 'muted' }, hint) : null);

/** What each order is called, asks for and sends. */
const ORDERS = {
  pause: (name) => {
    const choice = h('select', {}, ...PAUSES.map(([seconds, words]) => h('option', { value: seconds }, words)));
    return { title: `Pause ${name}?`, text: 'It keeps its count for this time, whatever the load does.', verb: 'Pause', input: field('for', choice), body: () => ({ seconds: Number(choice.value) }), done: `${name} is paused` };
  },
  resume: (name) => ({ title: `Resume ${name}?`, text: 'It is scaled again from the next round on. A count that was set by hand is no longer kept.', verb: 'Resume', body: () => undefined, done: `${name} is resumed` }),
  scale: (name, service) => {
    const { min, max } = service.detail.bounds;
    const count = h('input', { type: 'number', min, max, step: 1, value: Math.min(max, Math.max(min, service.replicas)), inputmode: 'numeric', required: true });
    return { title: `Scale ${name}?`, text: `From ${service.replicas}. The autoscaler respects the count for a while, then decides again; "Resume" hands it back at once.`, verb: 'Scale', input: field('replicas', count, `${min} to ${max}`), body: () => ({ replicas: Number(count.value) }), valid: () => count.reportValidity(), done: `${name} is scaled` };
  },
};

/** Opens the dialog that asks and confirms. */
export function ask(kind, service, opener) {
  const dialog = byId('order');
  const order = ORDERS[kind](short(service.service, stack), service);
  const secret = h('input', { type: 'password', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', id: 'token' });
  const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
  const refuse = (words) => { say(problem, words); problem.hidden = false; };
  const confirm = h('button', { type: 'button', class: 'primary' }, order.verb);
  const cancel = h('button', { type: 'button' }, 'Cancel');
  const asked = token === null ? field('admin token', secret, 'kept in the memory of this page only, for 15 minutes at most') : null;
  const go = async () => {
    if (order.valid && !order.valid()) return;
    const given = token ?? secret.value.trim();
    if (!given) return refuse('The admin token is needed.');
    confirm.disabled = true;
    const failure = await send(kind, service.service, order.body(), given);
    confirm.disabled = false;
    if (failure) return refuse(failure);
    keep(given);
    dialog.close();
    return toast(order.done);
  };
  confirm.addEventListener('click', go);
  cancel.addEventListener('click', () => dialog.close());
  dialog.onkeydown = (event) => {
    if (event.key === 'Enter' && event.target.tagName === 'INPUT') go();
  };
  dialog.onclose = () => {
    dialog.replaceChildren();
    opener?.focus();
  };
  dialog.replaceChildren(...[h('h2', { id: 'order-title' }, order.title), h('p', {}, order.text), order.input, asked, problem, h('div', { class: 'buttons' }, cancel, confirm)].filter(Boolean));
  dialog.showModal();
  (order.input?.querySelector('input, select') ?? (asked ? secret : cancel)).focus();
}

/** Sends an order; answers with what went wrong, or with nothing. */
async function send(kind, service, body, given) {
  try {
    const response = await fetch(`/api/v1/services/${encodeURIComponent(service)}/${kind}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${given}`, ...(body ? { 'Content-Type': 'application/json' } : {}) },
      body: body && JSON.stringify(body),
      credentials: 'omit',
      signal: AbortSignal.timeout(15000),
    });
    if (response.ok) return null;
    if (response.status === 401) {
      keep(null);
      return 'That is not the admin token.';
    }
    const problem = await response.json().catch(() => ({}));
    return problem.detail || `The autoscaler answered ${response.status}.`;
  } catch (error) {
    return error instanceof TypeError && /header|ISO|Latin/i.test(error.message) ? 'That is not the admin token.' : `The autoscaler does not answer: ${error.message}`;
  }
}

let fading = 0;

function toast(words) {
  const element = byId('toast');
  element.hidden = false;
  say(element, words);
  clearTimeout(fading);
  fading = setTimeout(() => { element.hidden = true; say(element, ''); }, 5000);
}
