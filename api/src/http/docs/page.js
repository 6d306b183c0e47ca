// Shows the OpenAPI description. Everything is put in as text, never as markup.
"use strict";

function make(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

function resolve(api, schema) {
  if (schema && schema.$ref) return api.components.schemas[schema.$ref.split("/").pop()];
  return schema;
}

function sketch(api, schema, depth) {
  const known = resolve(api, schema) || {};
  if (depth > 5) return "…";
  if (known.oneOf) return sketch(api, known.oneOf.find((one) => one.type !== "null"), depth);
  if (known.enum) return known.enum.join(" | ");
  const type = [].concat(known.type || "any").filter((one) => one !== "null")[0];
  if (type === "array") return [sketch(api, known.items, depth + 1)];
  if (type !== "object" || !known.properties) return known.format || type;
  return Object.fromEntries(
    Object.entries(known.properties).map(([name, value]) => [name, sketch(api, value, depth + 1)]),
  );
}

function body(api, content) {
  const [type, media] = Object.entries(content || {})[0] || [];
  if (!media) return [];
  return [make("code", type), make("pre", JSON.stringify(sketch(api, media.schema, 0), null, 2))];
}

function operation(api, method, path, op) {
  const inside = make("div", "", make("p", op.description || op.summary));
  inside.className = "inside";
  if (op.security) inside.append(make("p", "Needs an access token: Authorization: Bearer …"));
  const parameters = (op.parameters || []).map((one) =>
    make("tr", "", make("td", `${one.name} (${one.in})`), make("td", one.description || "")),
  );
  if (parameters.length) inside.append(make("h4", "Parameters"), make("table", "", ...parameters));
  if (op.requestBody) inside.append(make("h4", "Request"), ...body(api, op.requestBody.content));
  const answers = Object.entries(op.responses || {}).map(([status, answer]) =>
    make("tr", "", make("th", status), make("td", answer.description || "", ...body(api, answer.content))),
  );
  inside.append(make("h4", "Answers"), make("table", "", ...answers));
  const title = make("summary", "", make("b", method.toUpperCase()), make("code", path));
  if (op.summary) title.append(` ${op.summary}`);
  return make("details", "", title, inside);
}

function show(api) {
  document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}, OpenAPI ${api.openapi}.`;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, op] of Object.entries(methods)) {
      if (!op.responses) continue;
      const tag = (op.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(api, method, path, op));
    }
  }
  for (const [tag, operations] of groups) {
    document.getElementById("paths").append(make("h2", tag), ...operations);
  }
}

fetch("/api/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(show)
  .catch((error) => {
    document.getElementById("about").textContent = `The description cannot be read: ${error.message}`;
  });
