// The decision log: the newest first, by service, with reasons.

import { byId, h, say } from './dom.js';
import { moment, short, words } from './format.js';
import { fetchJson } from './stream.js';

const MOST_ROWS = 200;

const identity = ({ at_ms: at, service, from, to, reason }) => `${at} ${service} ${from} ${to} ${reason}`;

export class Log {
  constructor() {
    this.events = [];
    this.stack = null;
    byId('log-service').addEventListener('change', () => this.draw());
    byId('log-changes').addEventListener('change', () => this.draw());
  }

  /** Fills gaps with what the server remembers. */
  async load() {
    const { decisions } = await fetchJson(`/api/v1/decisions?limit=${MOST_ROWS * 2}`);
    this.take(decisions);
  }

  add(event) {
    this.take([event]);
    if (event.applied) say(byId('said'), `${short(event.service, this.stack)}: ${event.why}`);
  }

  take(events) {
    const known = new Map([...this.events, ...events].map((event) => [identity(event), event]));
    this.events = [...known.values()].sort((a, b) => b.at_ms - a.at_ms).slice(0, MOST_ROWS * 2);
    this.draw();
  }

  /** The services that can be chosen. */
  offer(services, stack) {
    this.stack = stack;
    const choice = byId('log-service');
    if (choice.children.length - 1 === services.length && services.every((s, i) => choice.children[i + 1].value === s.service)) return;
    const before = choice.value;
    choice.replaceChildren(choice.children[0], ...services.map(({ service }) => h('option', { value: service }, short(service, stack))));
    choice.value = services.some(({ service }) => service === before) ? before : '';
    this.draw();
  }

  draw() {
    const [service, changes] = [byId('log-service').value, byId('log-changes').checked];
    const shown = this.events.filter((event) => (!service || event.service === service) && (!changes || event.action !== 'hold')).slice(0, MOST_ROWS);
    byId('log').replaceChildren(...shown.map((event) => this.row(event)));
    byId('log-empty').hidden = shown.length > 0;
  }

  row(event) {
    const { at_ms: at, service, from, to, action, reason, why, applied, error } = event;
    const kind = error ? 'bad' : { up: 'hot', down: 'cool' }[action] ?? '';
    const done = error ? ' failed' : applied || action === 'hold' ? '' : ' not done';
    return h('tr', { class: action === 'hold' ? 'held' : 'acted' },
      h('td', { class: 'number' }, h('time', { datetime: new Date(at).toISOString() }, moment(at))),
      h('td', { title: service }, short(service, this.stack)),
      h('td', { class: 'number' }, from === to ? String(from) : `${from} → ${to}`),
      h('td', {}, h('span', { class: `badge ${kind}` }, words(reason) + done)),
      h('td', {}, why, error ? h('span', { class: 'bad' }, ` ${error}`) : null));
  }
}
