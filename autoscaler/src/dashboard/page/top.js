// The top of the page: how the autoscaler is, and the balancer, the data tier and the sources
// at a glance.

import { byId, h, mark, meter, say, show } from './dom.js';
import { ago, bytes, clock, now, number, short, span } from './format.js';

const row = (name, value, kind = '') => h('div', { class: 'row' }, h('dt', {}, name), h('dd', { class: `number ${kind}` }, value));
const tile = (title, ...rest) => h('article', { class: 'card tile', 'aria-label': title }, h('h3', {}, title), ...rest);
const nothing = (words) => h('p', { class: 'muted' }, words);
const some = (value) => value !== null && value !== undefined;

/** Refusals that the balancers had counted at the snapshot before, and when. */
let before = null;

/** Refusals per second since the snapshot before; null when that cannot be told. */
function refused({ sampled_at_ms: at, account }) {
  const limited = account?.limited;
  if (!some(limited)) return null;
  if (!before || before.at !== at) before = { at, limited, last: before };
  const { last } = before;
  // A balancer that starts anew counts from nought.
  return last && limited >= last.limited ? (limited - last.limited) * 1000 / (at - last.at) : null;
}

function balancer(reading) {
  if (!reading) return tile('Balancer', nothing('Nothing is known of a balancer.'));
  const { account } = reading;
  const limit = account?.limit;
  const rate = refused(reading);
  const rps = (value) => `${number(value)} requests/s`;
  const rows = [
    ['requests', reading.requests_per_second, rps],
    ['open connections', reading.active_connections, number],
    ['limit level', limit?.level, (value) => `${number(value)} ${value === 1 ? 'replica' : 'replicas'}`],
    ['capacity', limit?.requests_per_second, rps],
    ['per client', limit?.client_requests_per_second, rps],
    ['limit confirmed', limit?.age_seconds, (value) => `${span(value * 1000)} before`],
    ['refused with 429', rate, (value) => `${number(value)}/s`, rate > 0 ? 'warn' : ''],
    ['429s in all', account?.limited, number],
    ['answered with 5xx', account?.answers?.['5xx'], number, account?.answers?.['5xx'] > 0 ? 'warn' : ''],
    ['tried again', account?.retries, number],
  ];
  const known = rows.filter(([, value]) => some(value));
  const off = limit && !some(limit.requests_per_second) ? row('limit', 'off') : null;
  return tile('Balancer', h('dl', {}, ...known.map(([name, value, text, kind]) => row(name, text(value), kind)), off),
    account ? null : h('p', { class: 'muted small' }, 'The collector tells no limit level and no 429s.'));
}

function database(servers) {
  if (servers.length === 0) return tile('Database', nothing('No database server answers the collector.'));
  return tile('Database', ...servers.map((server) => {
    const { role, active, usable, streaming, lag_seconds: lag, lag_bytes: behind, address } = server;
    const late = some(lag) ? `${number(lag)} s` : some(behind) ? bytes(behind) : 'unknown';
    return h('div', { class: 'server' },
      h('p', {}, h('strong', {}, role), ' ', h('span', { class: 'muted small' }, address),
        role === 'standby' ? h('span', { class: `badge ${streaming ? 'good' : 'bad'}` }, streaming ? 'streams' : 'does not stream') : null),
      meter(usable ? active / usable : 0, `connections at work on the ${role}`, active / usable > 0.8 ? 'hot' : ''),
      h('p', { class: 'muted small number' }, `${active} of ${usable} connections at work`, role === 'standby' ? ` · lag ${late}` : ''));
  }));
}

function cache(caches, stack) {
  const entries = Object.entries(caches);
  if (entries.length === 0) return tile('Cache', nothing('No cache answers the collector.'));
  return tile('Cache', ...entries.map(([service, { used_bytes: used, max_bytes: most, servers }]) => h('div', { class: 'server' },
    h('p', {}, h('strong', {}, short(service, stack)), ' ', h('span', { class: 'muted small' }, `${servers.length} ${servers.length === 1 ? 'shard' : 'shards'}, ${number(servers.reduce((sum, shard) => sum + shard.keys, 0))} keys`)),
    most > 0 ? meter(used / most, 'cache memory in use', used / most > 0.8 ? 'hot' : '') : null,
    h('p', { class: 'muted small number' }, most > 0 ? `${bytes(used)} of ${bytes(most)}, ${number(used / most * 100)} % full` : `${bytes(used)}, without a bound`))));
}

function sources(collected, overview) {
  if (!collected) return tile('Sources', nothing(overview.collector_error || 'The collector has not been heard.'));
  const list = collected.sources.map(({ name, ok, error, duration_ms: took, last_success_ms: last }) => h('li', { class: ok ? 'good' : 'bad' },
    h('span', { class: 'dot' }), h('strong', {}, name), ' ',
    h('span', { class: 'muted small number' }, ok ? `${took} ms` : `${error || 'failed'}; last whole ${some(last) ? clock(last) : 'never'}`)));
  return tile('Sources', h('ul', { class: 'sources' }, ...list), h('p', { class: 'muted small number', id: 'collected' }));
}

/** Draws the tiles that have changed. */
export function glance(overview) {
  const { collected, stack } = overview;
  const places = byId('glance');
  const tiles = [
    [collected?.balancer, () => balancer(collected?.balancer)],
    [collected?.databases, () => database(collected?.databases ?? [])],
    [collected?.caches, () => cache(collected?.caches ?? {}, stack)],
    [[collected?.sources, overview.collector_error], () => sources(collected, overview)],
  ];
  while (places.children.length < tiles.length) places.append(h('div', { class: 'place' }));
  tiles.forEach(([key, make], index) => show(places.children[index], key ?? null, make));
}

export function members({ stack_services: services, stack }) {
  const list = byId('members');
  show(list, [services, stack], () => (services.length === 0 ? [h('li', { class: 'muted' }, 'Not known without the collector.')] : services.map(({ service, wanted, running, starting }) => {
    const kind = running >= wanted ? 'good' : running > 0 ? 'warn' : 'bad';
    const words = running >= wanted ? '' : starting > 0 ? `, ${starting} on the way` : ', missing';
    return h('li', { class: kind }, h('span', { class: 'dot' }), h('strong', {}, short(service, stack)), ' ', h('span', { class: 'muted small number' }, `${running}/${wanted}${words}`));
  })));
}

/** What the banner says: the worst first. Nothing when all is well. */
export function banner(overview, line, since, problem) {
  const words = [];
  if (line === 'lost') words.push(['bad', `No word from the autoscaler since ${clock(since)}. What is shown is of then; it is tried again.`]);
  if (problem) words.push(['warn', problem]);
  for (const why of overview?.health.why ?? []) words.push([overview.health.status === 'stalled' ? 'bad' : 'warn', why]);
  if (overview?.swarm_error && !overview.rounds.swarm_error) words.push(['warn', `present counts cannot be read: ${overview.swarm_error}`]);
  // Seconds that run need not be read out each time.
  show(byId('banner'), words.map(([kind, text]) => [kind, text.replace(/\d+ s ago/, 'a while ago')]), () => words.map(([kind, text]) => h('p', { class: `notice ${kind}` }, text)));
  mark(document.body, 'stale', line === 'lost' && overview);
}

/** What changes with the clock alone. */
export function tick(overview, line) {
  say(byId('line-text'), { connecting: 'connecting …', live: 'live', lost: 'no connection' }[line]);
  byId('line').className = `line ${{ live: 'good', lost: 'bad' }[line] ?? ''}`;
  if (!overview) return;
  const { rounds, interval_ms: interval, collected } = overview;
  const next = rounds.last_ms && rounds.last_ms + interval - now();
  say(byId('round'), rounds.last_ms ? `round at ${clock(rounds.last_ms)}, next ${next > 0 ? `in ${span(next)}` : 'is due'}` : 'before the first round');
  const told = byId('collected');
  if (told && collected) say(told, `snapshot of ${ago(collected.at_ms)}`);
}
