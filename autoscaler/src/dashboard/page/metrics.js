// One metric of a service: its value, its thresholds, its vote, and how it came there.

import { Chart } from './charts.js';
import { h, meter, show } from './dom.js';
import { METRICS, WORK, number } from './format.js';

const VOTES = {
  up: ['votes up', 'hot'],
  down: ['votes down', 'cool'],
  stay: ['stays', ''],
  silent: ['asks for nothing', ''],
  absent: ['not measured: forbids fewer', 'warn'],
  unasked: ['not asked', ''],
};

const some = (value) => value !== null && value !== undefined;

/** A rule in words. */
function rule({ up, down, target, per_replica: each }, unit) {
  if (target !== undefined) return `target ${number(target)} ${unit}`;
  if (each !== undefined) return `one replica for each ${number(each)} ${unit}`;
  return down === undefined ? `up above ${number(up)} ${unit}` : `up above ${number(up)} ${unit}, down to ${number(down)} ${unit}`;
}

export class Metric {
  constructor(service, metric, limits) {
    const [title, unit] = METRICS[metric] ?? [metric, ''];
    this.metric = metric;
    this.unit = unit;
    const ruleSeries = [];
    if (limits.up !== undefined) ruleSeries.push({ label: '', kind: 'up' });
    if (limits.down !== undefined) ruleSeries.push({ label: '', kind: 'down' });
    if (limits.target !== undefined) ruleSeries.push({ label: '', kind: 'up' });
    this.chart = new Chart({ title: `${title} of ${service}`, unit, series: [{ label: title, kind: 'main' }, ...ruleSeries], group: service });
    this.head = h('div', { class: 'metric-head' });
    this.facts = h('p', { class: 'muted small' });
    this.element = h('section', { class: 'metric', 'aria-label': title }, this.head, this.chart.element, this.facts);
    this.title = title;
  }

  update({ vote, value, cautious, rule: limits, replicas, measured, missing, newborn }) {
    this.limits = limits;
    const [words, kind] = VOTES[vote] ?? [vote, ''];
    const wants = some(replicas) ? ` → ${replicas}` : '';
    const top = limits.up ?? limits.target;
    show(this.head, [vote, value, limits, replicas], () => [
      h('h4', {}, this.title),
      h('strong', { class: 'number' }, value === null ? '–' : `${number(value)} ${this.unit}`),
      h('span', { class: `badge ${kind}` }, words + wants),
      value !== null && top ? meter(value / top, `${this.title} as a share of its upper threshold`, value > top ? 'hot' : '') : null,
    ]);
    const counted = [measured !== undefined && `measured ${measured}`, missing && `missing ${missing}`, newborn && `newborn ${newborn}`, some(cautious) && `${number(cautious)} ${this.unit} with those counted in`];
    show(this.facts, [limits, counted], () => [document.createTextNode([rule(limits, this.unit), ...counted.filter(Boolean)].join(' · '))]);
  }

  draw(past, service, interval) {
    const columns = past.columns(service, interval, [(point) => point.readings[this.metric]]);
    const flat = [this.limits.up ?? this.limits.target, this.limits.down].filter((limit) => limit !== undefined);
    this.chart.show([...columns, ...flat.map((limit) => columns[0].map(() => limit))], past.seconds);
  }
}

/** The work behind a metric, and what was expected of it. */
export class Outlook {
  constructor(service, metric) {
    this.metric = metric;
    this.unit = WORK[metric] ?? '';
    const title = `Forecast of ${this.unit || metric}`;
    this.chart = new Chart({
      title: `${title}, ${service}`, unit: this.unit, group: service, band: [3, 2],
      series: [{ label: 'was', kind: 'plain' }, { label: 'expected', kind: 'expected' }, { label: 'at most', kind: 'edge' }],
    });
    this.head = h('div', { class: 'metric-head' });
    this.facts = h('p', { class: 'muted small' });
    this.element = h('section', { class: 'metric', 'aria-label': title }, this.head, this.chart.element, this.facts);
    this.title = title;
  }

  update({ forecast, floor, acts }) {
    const skill = forecast.skill === null ? 'not known yet' : number(forecast.skill);
    show(this.head, [forecast, floor, acts], () => [
      h('h4', {}, this.title),
      h('strong', { class: 'number' }, `${number(forecast.expected)} + ${number(forecast.margin)}`),
      h('span', { class: `badge ${acts ? 'forecast' : ''}` }, acts ? `at least ${floor}` : 'does not act'),
    ]);
    show(this.facts, [forecast, floor], () => [document.createTextNode(
      `in ${Math.round(forecast.lead_ms / 1000)} s, by the ${forecast.model} · needs ${floor} · skill ${skill} (acts above 0)`)]);
  }

  draw(past, service, interval) {
    const was = past.columns(service, interval, [(point) => point.work[this.metric]?.total]);
    const expected = past.expected(service, this.metric);
    const tables = [was, expected].filter((columns) => columns[0].length > 0);
    const data = tables.length === 2 ? uPlot.join(tables) : [was[0], was[1], was[0].map(() => null), was[0].map(() => null)];
    this.chart.show(data, past.seconds);
  }
}
