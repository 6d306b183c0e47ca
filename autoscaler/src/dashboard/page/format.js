// Numbers, times and names as people read them.

/** How far the server's clock is ahead of this one, in milliseconds. */
let ahead = 0;

export function setClock(serverMs) {
  ahead = serverMs - Date.now();
}

/** The server's time. */
export const now = () => Date.now() + ahead;

export const METRICS = {
  cpu: ['CPU', '%'],
  memory: ['Memory', '%'],
  response_time: ['Response time, p95', 'ms'],
  error_rate: ['Errors', '%'],
  connections: ['Connections', '%'],
  cache: ['Cache memory', '%'],
  requests: ['Requests', '/s'],
};

/** The unit of the work behind a metric. */
export const WORK = { cpu: 'cores', requests: 'requests/s', connections: 'connections', memory: 'bytes', cache: 'bytes' };

export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 10000) return Math.round(value).toLocaleString('en');
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1).replace(/\.0$/, '');
  return value.toFixed(2).replace(/\.?0+$/, '');
}

export function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [rest, unit] = [value, 0];
  while (rest >= 1000 && unit < units.length - 1) [rest, unit] = [rest / 1000, unit + 1];
  return `${number(rest)} ${units[unit]}`;
}

/** A length of time, from milliseconds. */
export function span(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const ago = (ms) => (ms === null || ms === undefined ? 'never' : `${span(Math.max(0, now() - ms))} ago`);

export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });

export function moment(ms) {
  const date = new Date(ms);
  return date.toDateString() === new Date().toDateString() ? clock(ms) : `${date.toLocaleDateString('en', { month: 'short', day: 'numeric' })} ${clock(ms)}`;
}

/** A service's name without the stack's prefix. */
export function short(service, stack) {
  return stack && service.startsWith(`${stack}_`) ? service.slice(stack.length + 1) : service;
}

/** A code as words: `cpu_high` is `cpu high`. */
export const words = (code) => String(code).replaceAll('_', ' ');
