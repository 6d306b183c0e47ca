// What was: each service's points over the range that is shown, and what comes in since.

import { fetchJson } from './stream.js';
import { now } from './format.js';

const POINTS = 600;

/** Times are kept in seconds by the charts; a hole longer than this many steps is a hole. */
const HOLE_STEPS = 3;

export class Past {
  constructor() {
    this.seconds = 3600;
    this.points = new Map();
    this.queue = Promise.resolve();
  }

  /** Asks for the history of a service, one after the other. Rejects when there is none. */
  load(service) {
    const loaded = this.queue.then(() => this.ask(service));
    this.queue = loaded.catch(() => {});
    return loaded;
  }

  async ask(service) {
    const [from, seconds] = [Math.floor(now() - this.seconds * 1000), this.seconds];
    const path = `/api/v1/history?service=${encodeURIComponent(service)}&from=${from}&points=${POINTS}`;
    const answer = await fetchJson(path);
    // The range was changed in between: the answer to the newer question counts.
    if (seconds !== this.seconds) return;
    const live = (this.points.get(service)?.list ?? []).filter((point) => point.at_ms > (answer.points.at(-1)?.at_ms ?? 0));
    this.points.set(service, { list: [...answer.points, ...live], step: answer.step_ms });
  }

  /** Adds the newest point, unless it is there. */
  add(service, point) {
    if (!point) return false;
    const past = this.points.get(service) ?? { list: [], step: 5000 };
    if (past.list.length > 0 && past.list.at(-1).at_ms >= point.at_ms) return false;
    const oldest = now() - this.seconds * 1000;
    past.list = [...past.list.filter((earlier) => earlier.at_ms >= oldest), point];
    this.points.set(service, past);
    return true;
  }

  /** Columns for a chart: times in seconds, then each of `picks`; holes are null. */
  columns(service, interval, picks) {
    const past = this.points.get(service) ?? { list: [], step: 0 };
    const hole = HOLE_STEPS * Math.max(past.step, interval, 5000);
    const columns = [[], ...picks.map(() => [])];
    let before = null;
    for (const point of past.list) {
      if (before !== null && point.at_ms - before > hole) {
        columns[0].push((before + hole / 2) / 1000);
        for (const column of columns.slice(1)) column.push(null);
      }
      columns[0].push(point.at_ms / 1000);
      picks.forEach((pick, index) => columns[index + 1].push(pick(point) ?? null));
      before = point.at_ms;
    }
    return columns;
  }

  /** What was expected of the work behind a metric, at the times it was expected for. */
  expected(service, metric) {
    const columns = [[], [], []];
    for (const point of this.points.get(service)?.list ?? []) {
      const expected = point.expected?.[metric];
      const at = expected && expected.for_ms / 1000;
      if (!expected || at <= (columns[0].at(-1) ?? 0)) continue;
      columns[0].push(at);
      columns[1].push(expected.work);
      columns[2].push(expected.work + expected.margin);
    }
    return columns;
  }
}
