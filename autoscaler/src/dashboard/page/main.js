// Puts the page together: the stream in, cards, charts and the log out.

import { byId, h, say } from './dom.js';
import { setClock } from './format.js';
import { Log } from './log.js';
import { ofStack } from './orders.js';
import { Past } from './past.js';
import { Card } from './service.js';
import { listen } from './stream.js';
import { banner, glance, members, tick } from './top.js';

const past = new Past();
const log = new Log();
const cards = new Map();
let overview = null;
let line = 'connecting';
let since = Date.now();
let problem = null;

/** How often the past is asked for anew, so that what is shown and what is kept agree. */
const AGAIN_MS = 120000;

function failed(error) {
  problem = error ? `what was cannot be shown: ${error.message}` : null;
}

function empty() {
  return h('div', { class: 'card empty', id: 'empty' },
    h('h3', {}, 'No service is autoscaled yet'),
    h('p', {}, 'A service is scaled as soon as it carries the label ', h('code', {}, 'swarm.autoscaler=true'), ', for instance:'),
    h('pre', { tabindex: 0 }, 'docker service update --label-add swarm.autoscaler=true \\\n  --label-add swarm.autoscaler.minimum=2 --label-add swarm.autoscaler.maximum=10 SERVICE'),
    h('p', { class: 'muted' }, 'It shows here after the next round.'));
}

async function recall(card) {
  if (!overview.history) return card.troubled('no history is kept (HISTORY_DIR is not set), so charts begin now');
  try {
    await past.load(card.name);
    card.troubled(null);
  } catch (error) {
    card.troubled(error.message);
  }
  return card.draw(past, overview.interval_ms);
}

function draw() {
  const places = byId('cards');
  places.setAttribute('aria-busy', 'false');
  const names = new Set(overview.services.map(({ service }) => service));
  for (const [name, card] of cards) {
    if (!names.has(name)) {
      card.gone();
      cards.delete(name);
    }
  }
  if (names.size === 0 && overview.rounds.last_ms) {
    if (!byId('empty')) places.replaceChildren(empty());
  } else if (names.size > 0) {
    places.querySelectorAll('.waiting, #empty').forEach((element) => element.remove());
  }
  for (const service of overview.services) {
    let card = cards.get(service.service);
    const isNew = !card;
    if (isNew) {
      card = new Card(service, overview.stack);
      cards.set(service.service, card);
      places.append(card.element);
    }
    card.update(service, overview.orders);
    const moved = past.add(service.service, service.detail?.point);
    if (isNew) recall(card);
    else if (moved) card.draw(past, overview.interval_ms);
  }
  const more = overview.services_total - overview.services.length;
  say(byId('services-title'), `Autoscaled services${more > 0 ? `: ${overview.services.length} of ${overview.services_total}` : ''}`);
}

function told({ now_ms: at, overview: seen }) {
  setClock(at);
  overview = seen;
  ofStack(seen.stack);
  document.title = `Autoscaler${seen.stack ? ` · ${seen.stack}` : ''}`;
  say(byId('stack'), seen.stack ?? '');
  say(byId('version'), `version ${seen.version}`);
  log.offer(seen.services, seen.stack);
  draw();
  glance(seen);
  members(seen);
  refresh();
}

/** What depends on the clock and on the line. */
function refresh() {
  tick(overview, line);
  banner(overview, line, since, problem);
  for (const card of cards.values()) card.tick();
}

listen({
  opened: () => log.load().then(() => failed(null), failed),
  overview: told,
  decision: (event) => log.add(event),
  missed: () => log.load().then(() => failed(null), failed),
  beat: setClock,
  state: (state, heard) => {
    [line, since] = [state, heard];
    refresh();
  },
});

byId('range').addEventListener('change', (event) => {
  past.seconds = Number(event.target.value);
  for (const card of cards.values()) recall(card);
});
setInterval(refresh, 1000);
setInterval(() => line === 'live' && cards.forEach((card) => recall(card)), AGAIN_MS);
