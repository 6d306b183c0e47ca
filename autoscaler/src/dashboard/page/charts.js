// A chart: uPlot with the page's colours, a line that says what is under the cursor, and arrow
// keys for those who have no mouse.

import { h, show } from './dom.js';
import { moment, now, number } from './format.js';

/* global uPlot */

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Colours are read when a chart is drawn, so all are drawn anew when they change. */
const charts = new Set();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.forEach((chart) => chart.draw()));

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const chart = target.chart;
    if (chart.plot && contentRect.width > 0) chart.plot.setSize({ width: contentRect.width, height: chart.height });
  }
});

/** How a series looks; `kind` is one of these. */
const LOOKS = {
  main: () => ({ stroke: colour('accent'), fill: colour('accent-faint'), width: 2 }),
  plain: () => ({ stroke: colour('accent'), width: 2 }),
  wanted: () => ({ stroke: colour('wanted'), width: 2, dash: [5, 4] }),
  bound: () => ({ stroke: colour('edge'), width: 1, dash: [2, 3] }),
  up: () => ({ stroke: colour('hot'), width: 1.5, dash: [6, 4] }),
  down: () => ({ stroke: colour('cool'), width: 1.5, dash: [6, 4] }),
  expected: () => ({ stroke: colour('forecast'), width: 1.5 }),
  edge: () => ({ stroke: 'transparent', width: 0 }),
};

export class Chart {
  /** `series`: { label, kind, stepped }; `unit` stands behind each value. */
  constructor({ title, unit = '', series, height = 110, group, whole = false, band = null }) {
    Object.assign(this, { title, unit, series, height, group, whole, band, plot: null, range: [0, 1] });
    this.data = [[], ...series.map(() => [])];
    this.box = h('div', { class: 'plot', tabindex: 0, role: 'img', 'aria-label': title, on: { keydown: (event) => this.key(event) } });
    this.box.chart = this;
    this.reading = h('p', { class: 'reading number' });
    this.element = h('figure', {}, this.box, this.reading);
    resized.observe(this.box);
    charts.add(this);
  }

  /** Shows columns over a range of seconds. */
  show(data, seconds) {
    this.data = data;
    const end = now() / 1000;
    this.range = [end - seconds, Math.max(end, data[0].at(-1) ?? 0)];
    if (!this.plot) return this.draw();
    this.plot.setData(data, false);
    this.plot.setScale('x', { min: this.range[0], max: this.range[1] });
    return this.tell();
  }

  gone() {
    resized.unobserve(this.box);
    charts.delete(this);
    this.plot?.destroy();
  }

  draw() {
    const width = this.box.clientWidth;
    if (width === 0) return;
    this.plot?.destroy();
    const line = { stroke: colour('muted'), font: '11px system-ui, sans-serif', grid: { stroke: colour('grid'), width: 1 }, ticks: { show: false } };
    const stepped = uPlot.paths.stepped({ align: 1 });
    const series = this.series.map(({ kind, steps }) => ({
      ...LOOKS[kind](), paths: steps ? stepped : undefined, points: { show: false }, spanGaps: kind === 'expected' || kind === 'edge' || Boolean(this.band),
    }));
    this.plot = new uPlot({
      width, height: this.height, series: [{}, ...series], legend: { show: false },
      bands: this.band ? [{ series: this.band, fill: colour('forecast-faint') }] : [],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: this.group } },
      scales: { x: { time: true, range: () => this.range }, y: { range: (_, low, high) => [0, Math.max(this.whole ? 2 : 1e-9, (high ?? 1) * 1.08)] } },
      axes: [
        { ...line, size: 22, space: 60, values: (_, ticks) => ticks.map((tick) => this.when(tick)) },
        { ...line, size: 44, space: 26, incrs: this.whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000] : undefined, values: (_, ticks) => ticks.map(number) },
      ],
      hooks: { setCursor: [() => this.tell()] },
    }, this.data, this.box);
    this.tell();
  }

  when(seconds) {
    const date = new Date(seconds * 1000);
    const far = this.range[1] - this.range[0] > 200000;
    return far ? date.toLocaleDateString('en', { month: 'short', day: 'numeric' }) : date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });
  }

  /** The values under the cursor, or the newest. */
  tell() {
    const at = this.plot?.cursor.idx ?? this.data[0].length - 1;
    const time = this.data[0][at];
    const named = this.series.map(({ label, kind }, index) => [label, kind, this.data[index + 1][at]]).filter(([label, , value]) => label && value !== null && value !== undefined);
    const texts = named.map(([label, kind, value]) => [kind, `${label} ${number(value)}${this.unit && ` ${this.unit}`}`]);
    const when = time === undefined ? 'nothing recorded in this time' : `${moment(time * 1000)}${texts.length === 0 ? ', not measured' : ''}`;
    show(this.reading, [when, texts], () => [h('span', {}, when), ...texts.map(([kind, text]) => h('span', {}, h('i', { class: `key ${kind}`, 'aria-hidden': 'true' }), text))]);
    const label = `${this.title}: ${[when, ...texts.map(([, text]) => text)].join(', ')}. Arrow keys move through time.`;
    if (this.box.getAttribute('aria-label') !== label) this.box.setAttribute('aria-label', label);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !this.plot || this.data[0].length === 0) return;
    event.preventDefault();
    const last = this.data[0].length - 1;
    const index = Math.max(0, Math.min(last, (this.plot.cursor.idx ?? last) + step));
    this.plot.setCursor({ left: this.plot.valToPos(this.data[0][index], 'x'), top: 10 });
  }
}
