// The card of one service: its count, why it is what it is, and how it came there.

import { Chart } from './charts.js';
import { h, mark, say, show } from './dom.js';
import { clock, now, short, span, words } from './format.js';
import { Metric, Outlook } from './metrics.js';
import { ask } from './orders.js';

/** A badge in two words: what the service does, or what holds it. */
function state(service) {
  const { detail, ordered } = service;
  if (service.config_errors.length > 0) return ['wrong labels', 'bad'];
  if (service.apply_error) return ['cannot be written', 'bad'];
  if (ordered) return ['ordered', 'accent'];
  if (!detail) return ['left alone', ''];
  const { decision } = detail;
  if (decision.action !== 'hold') return [`scaling ${decision.action}`, decision.action === 'up' ? 'hot' : 'cool'];
  const held = decision.held_by;
  if (!held) return ['steady', 'good'];
  if (['no_data', 'stale_data', 'metric_missing', 'no_room'].includes(held)) return [words(held), 'warn'];
  if (held === 'at_minimum') return ['at minimum', 'good'];
  if (held === 'at_maximum') return ['at maximum', 'warn'];
  return [words(held), 'accent'];
}

/** Until when an operator wants it left alone. */
export function pausedUntil({ ordered, detail }) {
  const until = ordered ? ordered.paused_until_ms : detail?.paused_until_ms;
  return until && until > now() ? until : null;
}

export class Card {
  constructor(service, stack) {
    const name = short(service.service, stack);
    this.name = service.service;
    this.parts = new Map();
    this.count = h('p', { class: 'count number' });
    this.badge = h('span', { class: 'badge' });
    this.why = h('p', { class: 'why' });
    this.left = h('p', { class: 'left number', hidden: true });
    this.notes = h('ul', { class: 'notes' });
    this.facts = h('dl', { class: 'facts' });
    this.buttons = h('div', { class: 'buttons' });
    this.problem = h('p', { class: 'muted small', hidden: true });
    this.replicas = new Chart({
      title: `Replicas of ${name}`, group: this.name, height: 150, whole: true,
      series: [{ label: 'current', kind: 'main', steps: true }, { label: 'desired', kind: 'wanted', steps: true },
        { label: 'forecast asks for', kind: 'expected', steps: true }, { label: 'minimum', kind: 'bound', steps: true }, { label: 'maximum', kind: 'bound', steps: true }],
    });
    this.grid = h('div', { class: 'metrics' });
    this.element = h('article', { class: 'card service', 'aria-label': name, 'data-service': this.name },
      h('div', { class: 'service-head' },
        h('div', {}, h('h3', { title: this.name }, name), this.badge), this.count, this.buttons),
      this.why, this.left, this.notes, this.facts, this.problem,
      h('section', { class: 'metric wide', 'aria-label': 'Replicas' }, h('h4', {}, 'Replicas'), this.replicas.element), this.grid);
  }

  update(service, orders) {
    this.service = service;
    const { detail } = service;
    const wanted = detail?.decision.wanted;
    const goes = !service.ordered && wanted !== undefined && wanted !== service.replicas;
    show(this.count, [service.replicas, goes && wanted, service.running, detail?.bounds], () => [
      h('strong', {}, String(service.replicas)), goes ? h('span', { class: 'to' }, ` → ${wanted}`) : null,
      h('small', {}, [detail && `of ${detail.bounds.min} to ${detail.bounds.max}`, service.running !== null && `${service.running} running`].filter(Boolean).join(', ')),
    ]);
    const [text, kind] = state(service);
    say(this.badge, text);
    this.badge.className = `badge ${kind}`;
    say(this.why, service.ordered ? `${service.ordered.text}; the next round takes it up` : service.why);
    mark(this.element, 'wrong', service.config_errors.length > 0 || service.apply_error);
    const notes = [...service.config_errors.map((note) => ['bad', note]), ...service.warnings.map((note) => ['warn', note])];
    if (service.apply_error) notes.push(['bad', `the last write failed: ${service.apply_error}`]);
    show(this.notes, notes, () => notes.map(([note, words_]) => h('li', { class: note }, words_)));
    this.facts.hidden = !detail;
    this.buttons.hidden = !orders || !detail;
    this.tick();
    if (detail) this.judged(detail);
  }

  judged(detail) {
    const { last, manual, room } = detail;
    const facts = [
      ['algorithm', detail.algorithm + (detail.dry_run ? ', dry run: nothing is done' : '')],
      ['metrics ask for', `${detail.decision.recommended} (${words(detail.decision.recommended_reason)})`],
      detail.decision.held_by && ['held by', words(detail.decision.held_by)],
      last && ['last step', `${last.from} → ${last.to} at ${clock(last.at_ms)}`],
      manual && ['set by hand', `${manual.replicas} at ${clock(manual.at_ms)}`],
      room !== null && ['the nodes hold', String(room)],
      detail.schedules.length > 0 && ['raised by', detail.schedules.join(', ')],
    ].filter(Boolean);
    show(this.facts, facts, () => facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
    const { proposals, outlooks } = detail.decision;
    const kept = new Set();
    for (const [metric, rule] of Object.entries(detail.rules)) {
      // At a gate (paused, updating) no metric was asked; its value is known all the same.
      const seen = proposals[metric] ?? { vote: 'unasked', value: detail.point?.readings[metric] ?? null, rule };
      // Another kind of rule is another chart.
      this.part(kept, `${metric} ${Object.keys(rule)}`, Metric, metric, rule).update(seen);
    }
    for (const [metric, seen] of Object.entries(outlooks)) this.part(kept, `forecast ${metric}`, Outlook, metric).update(seen);
    for (const [key, part] of this.parts) {
      if (kept.has(key)) continue;
      part.chart.gone();
      part.element.remove();
      this.parts.delete(key);
    }
  }

  /** The part of that key, made when it is not there. */
  part(kept, key, Kind, metric, rule) {
    kept.add(key);
    if (!this.parts.has(key)) {
      const part = new Kind(this.name, metric, rule);
      this.parts.set(key, part);
      this.grid.append(part.element);
    }
    return this.parts.get(key);
  }

  /** What changes with the clock alone. */
  tick() {
    const { detail, decided_at_ms: decided, ordered } = this.service;
    const wait = !ordered && detail?.decision.wait_ms;
    const [left, until] = [wait ? decided + wait - now() : 0, pausedUntil(this.service)];
    const text = until ? `paused for another ${span(until - now())}` : left > 0 ? `${words(detail.decision.held_by ?? 'wait')}: ${span(left)} left` : '';
    say(this.left, text);
    this.left.hidden = text === '';
    this.offer(until !== null);
  }

  offer(paused) {
    const held = Boolean(this.service.detail?.manual);
    show(this.buttons, [paused, held], () => {
      const button = (label, kind) => h('button', { type: 'button', 'data-order': kind, on: { click: (event) => ask(kind, this.service, event.currentTarget) } }, label);
      return [paused ? null : button('Pause', 'pause'), paused || held ? button('Resume', 'resume') : null, button('Scale', 'scale')];
    });
  }

  draw(past, interval) {
    const columns = past.columns(this.name, interval, [(p) => p.replicas, (p) => p.desired, (p) => p.floor, (p) => p.bounds?.min, (p) => p.bounds?.max]);
    // The newest count goes on until now: the rounds are far apart.
    const { service } = this;
    if (service && columns[0].length > 0) {
      const bounds = service.detail?.bounds;
      [now() / 1000, service.replicas, service.detail?.decision.wanted ?? null, null, bounds?.min ?? null, bounds?.max ?? null].forEach((value, index) => columns[index].push(value));
    }
    this.replicas.show(columns, past.seconds);
    for (const part of this.parts.values()) part.draw(past, this.name, interval);
  }

  /** Says why there is no past to show; `null` when there is. */
  troubled(problem) {
    this.problem.hidden = !problem;
    if (problem) say(this.problem, `The past cannot be shown: ${problem}`);
  }

  gone() {
    this.replicas.gone();
    for (const part of this.parts.values()) part.chart.gone();
    this.element.remove();
  }
}

