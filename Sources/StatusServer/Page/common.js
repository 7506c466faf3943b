// What both pages need. Text only ever goes in by textContent: names come from outside.
const byId = id => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const decimal = digits => new Intl.NumberFormat("en",
  { minimumFractionDigits: digits, maximumFractionDigits: digits });
const oneDecimal = decimal(1), twoDecimals = decimal(2), threeDecimals = decimal(3);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(undefined,
  { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23" });
const svgNamespace = "http:" + "//www.w3.org/2000/svg";

const set = (node, text, tone) => {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
  if (tone !== undefined && node.className !== tone) node.className = tone;
  return node;
};
const add = (parent, name, attributes = {}, text) => {
  const node = document.createElement(name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
};
const draw = (parent, name, attributes = {}, text) => {
  const node = document.createElementNS(svgNamespace, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
};
// Rows are kept and only their text changes, so that a selection or a reader's place stays.
const fill = (body, rows) => {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row = body.rows[index] || body.insertRow();
    while (row.cells.length > cells.length) row.deleteCell(-1);
    cells.forEach((cell, at) => {
      const [text, tone] = Array.isArray(cell) ? cell : [cell, ""];
      set(row.cells[at] || row.insertCell(), text, tone || "");
    });
  });
};
const plural = (count, one, many) => number.format(count) + " " + (count === 1 ? one : many);
const milliseconds = seconds => number.format(Math.round(seconds * 10000) / 10) + "\u00a0ms";
const duration = seconds => {
  const [d, h, m, s] = [seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60]
    .map(Math.floor);
  return (d ? d + " d " : "") + (d || h ? h + " h " : "") + (d || h || m ? m + " min " : "")
    + s + " s";
};
const meterAddress = id => "/meters/" + encodeURIComponent(id);

// "How is this known?": the query as it ran, and the names of the metrics. Each can be pasted.
const metricsCommand = names => "curl -s " + location.origin + "/metrics | grep"
  + names.split(/\s+/).map(name => " \\\n  -e ^" + name).join("");
const queryText = async path => {
  try {
    const answer = await (await fetch(path, { cache: "no-store" })).json();
    return answer.query || answer.error;
  } catch (error) {
    return "The query could not be fetched: " + error.message;
  }
};
for (const how of document.querySelectorAll("details.how")) {
  how.addEventListener("toggle", async () => {
    if (!how.open) return;
    const show = (kind, text) => set(how.querySelector("pre." + kind)
      || add(how, "pre", { tabindex: "0", class: kind }), text);
    const path = how.dataset.path || (how.dataset.query && "/api/v1/" + how.dataset.query);
    if (path) show("sql", "…");
    if (how.dataset.metrics) show("shell", metricsCommand(how.dataset.metrics));
    if (how.dataset.readiness) show("state", "curl -s " + location.origin + "/readyz");
    if (path) show("sql", await queryText(path));
  });
}
