'use strict';

const state = document.getElementById('state');
const rows = document.getElementById('services');

function cell(text, kind) {
  const td = document.createElement('td');
  td.textContent = text;
  if (kind) td.className = kind;
  return td;
}

function row(service) {
  const tr = document.createElement('tr');
  const wrong = service.config_errors.length > 0;
  const count = service.wanted === null || service.wanted === service.replicas
    ? `${service.replicas}` : `${service.replicas} → ${service.wanted}`;
  const bounds = service.minimum === null ? '' : `${service.minimum}–${service.maximum}`;
  tr.append(cell(service.service), cell(count, 'number'), cell(bounds, 'number'),
    cell(service.why, wrong ? 'wrong' : ''));
  return tr;
}

async function refresh() {
  try {
    const response = await fetch('/api/v1/services');
    const { services, rounds } = await response.json();
    rows.replaceChildren(...services.map(row));
    const trouble = [rounds.swarm_error, rounds.collector_error].filter(Boolean).join('; ');
    state.textContent = trouble || `${services.length} services, last round ${new Date(rounds.last_ms).toLocaleTimeString()}`;
    state.className = trouble ? 'wrong' : '';
  } catch (error) {
    state.textContent = `The autoscaler does not answer: ${error.message}`;
    state.className = 'wrong';
  }
  setTimeout(refresh, 2000);
}

refresh();
