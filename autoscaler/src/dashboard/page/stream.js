// The line to the server: events as they come, and whether the line lives.

/** Silence that is longer than two beats is a dead line. */
const DEAD_MS = 12000;

/** After the browser has given up: another try. */
const AGAIN_MS = 3000;

/** Listens for ever. `on` has `overview`, `decision`, `missed`, `state`. */
export function listen(on) {
  let source = null;
  let heard = Date.now();
  let state = 'connecting';
  const become = (next) => {
    if (state !== next) on.state(state = next, heard);
  };
  const alive = () => {
    heard = Date.now();
    become('live');
  };
  const parsed = (act) => (event) => {
    alive();
    try {
      act(JSON.parse(event.data));
    } catch (error) {
      console.error('an event is not understood', error);
    }
  };
  const open = () => {
    source = new EventSource('/api/v1/events');
    source.addEventListener('open', () => on.opened());
    source.addEventListener('overview', parsed(on.overview));
    source.addEventListener('decision', parsed(on.decision));
    source.addEventListener('missed', parsed(on.missed));
    source.addEventListener('beat', parsed(on.beat));
    source.addEventListener('error', () => {
      become('lost');
      // The browser tries again by itself, unless it was refused.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    });
  };
  setInterval(() => {
    if (Date.now() - heard > DEAD_MS) {
      become('lost');
      // A line that is open and silent is dead, whatever the browser believes.
      if (source.readyState === EventSource.OPEN) {
        source.close();
        open();
      }
    }
  }, 1000);
  open();
}

export async function fetchJson(path) {
  const response = await fetch(path, { cache: 'no-store' });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail || `${response.status}`);
  return body;
}
