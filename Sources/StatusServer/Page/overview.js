// The page at /: what /events tells, shown.
const columns = [["received", "Received"], ["stored", "Stored"], ["duplicate", "Duplicate"],
  ["zero", "Zero"], ["rejected", "Rejected"], ["in_flight", "In flight"],
  ["imbalance", "Unaccounted"], ["rate", "Stored/s"]];
const kinds = ["production", "consumption", "storage", "unknown", "total"];
const words = { well: "Well", attention: "Attention", not_ready: "Not ready" };
const tones = { well: "well", attention: "attention", not_ready: "bad" };
const ledger = byId("ledger");
for (const [, title] of columns) {
  add(ledger.tHead.rows[0], "th", { scope: "col", role: "columnheader" }, title);
}
for (const kind of kinds) {
  const row = add(ledger.tBodies[0], "tr", { role: "row", class: kind === "total" ? kind : "" });
  add(row, "th", { scope: "row", role: "rowheader" }, kind);
  for (const [, title] of columns) add(row, "td", { role: "cell", "data-label": title });
}
const rate = value => value >= 10 ? number.format(Math.round(value)) : oneDecimal.format(value);

const showLedger = status => kinds.forEach((kind, at) => {
  const line = { ...status.ledger[kind], rate: status.rates_per_second[kind].stored };
  columns.forEach(([field], column) => {
    const bad = (field === "imbalance" && line[field] !== 0) ? "bad"
      : (field === "rejected" && line[field] > 0) ? "attention" : "";
    const text = field === "rate" ? rate(line.rate) : number.format(line[field]);
    set(ledger.tBodies[0].rows[at].cells[column + 1], text, bad);
  });
});

// The path: four places, three arrows.
const place = (name, about) => {
  const item = add(byId("path"), "li", { class: "place" }, name);
  return add(item, "span", {}, about);
};
const arrow = label => {
  const item = add(byId("path"), "li", { class: "arrow" });
  const figure = add(item, "b");
  add(item, "i", { "aria-hidden": "true" });
  add(item, "small", {}, label);
  return value => {
    set(figure, rate(value) + " /s");
    item.classList.toggle("moving", value > 0);
  };
};
const meters = place("Meters", "publish by MQTT");
const receivedArrow = arrow("received");
const checks = place("Ingestor", "decodes, completes, checks");
const storedArrow = arrow("stored");
const table = place("PostgreSQL", "commits, then acknowledges");
const rejectedArrow = arrow("turned away");
place("Dead letters", "kept, explained, redriven");
const aside = (term, value, tone) => {
  const list = byId("asides");
  let entry = [...list.children].find(child => child.dataset.term === term);
  if (!entry) {
    entry = add(list, "div", { "data-term": term });
    add(entry, "dt", {}, term);
    add(entry, "dd");
  }
  set(entry.lastChild, value, tone || "");
};
const showPath = status => {
  const rates = status.rates_per_second.total;
  receivedArrow(rates.received);
  storedArrow(rates.stored);
  rejectedArrow(rates.rejected);
  const known = status.meters;
  // Not counted since the start: then only how many there are.
  set(meters, known.heard > 0
    ? number.format(known.heard) + " of " + number.format(known.expected) + " heard"
    : known.expected > 0 ? number.format(known.expected) + " registered" : "publish by MQTT");
  if (known.heard > 0) {
    aside("late", number.format(known.late), known.late > 0 ? "attention" : "");
    aside("silent", number.format(known.silent), known.silent > 0 ? "attention" : "");
  }
  set(table, status.commits.p50_seconds !== undefined && status.commits.p50_seconds !== null
    ? "commits within " + milliseconds(status.commits.p50_seconds) : "commits, then acknowledges");
  aside("duplicates", rate(rates.duplicate) + " /s");
  aside("zero", rate(rates.zero) + " /s");
  aside("in flight", number.format(status.ledger.total.in_flight));
  const spooled = status.program.spool_messages;
  if (spooled !== undefined && spooled !== null) {
    aside("waiting in the spool", number.format(spooled), spooled > 0 ? "attention" : "");
  }
  const dropped = status.program.broker_dropped_messages;
  if (dropped !== undefined && dropped !== null) {
    aside("dropped by the broker", number.format(dropped), dropped > 0 ? "bad" : "");
  }
  aside("processor", Math.round(status.program.cpu_cores * 100) + " % of a core");
  aside("memory", Math.round(status.program.resident_bytes / 1048576) + " MiB");
};

const showStatus = status => {
  set(byId("state"), words[status.state] || status.state, tones[status.state]);
  set(byId("summary"), status.summary);
  set(byId("version"), status.version);
  document.title = (words[status.state] || status.state) + " · Meter ingestor";
  showLedger(status);
  showPath(status);
  const commits = status.commits;
  set(byId("speed"), commits.count === 0 ? "No commit in the last minute."
    : plural(commits.count, "commit", "commits") + " in the last minute: half within "
      + milliseconds(commits.p50_seconds) + ", 99 % within "
      + milliseconds(commits.p99_seconds) + ".");
  const reasons = Object.entries(status.rejected_by_reason).filter(([, count]) => count > 0);
  // A count stays with what it is of.
  set(byId("rejections-note"), reasons.length === 0 ? "No reading since the start."
    : "Readings since the start: " + reasons.sort((a, b) => b[1] - a[1])
      .map(([reason, count]) => number.format(count) + "\u00a0" + reason).join(", ") + ".");
  fill(byId("components"), status.components.map(component => [component.name,
    [component.ready ? "ok" : component.failure, component.ready ? "well" : "bad"]]));
  set(byId("uptime"), "up " + duration(status.uptime_seconds));
};

// The chart: what came in above the line, what went out below it.
const chart = byId("chart");
let energy = null, chosen = null;
const above = bucket => bucket.production + bucket.discharge;
const below = bucket => bucket.consumption + bucket.charge;
const niceStep = most => {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1e-6)));
  return [.1, .2, .5, 1].map(factor => factor * power).find(step => most / step <= 4) || power;
};
const drawEnergy = () => {
  if (!energy) return;
  const width = chart.clientWidth, height = chart.clientHeight;
  if (!width || !height) return;
  chart.setAttribute("viewBox", "0 0 " + width + " " + height);
  const left = 52, right = 4, top = 8, bottom = 24;
  const begin = Date.parse(energy.from), end = Date.parse(energy.to);
  const up = Math.max(1e-3, ...energy.buckets.map(above));
  const down = Math.max(1e-3, ...energy.buckets.map(below));
  const scale = (height - top - bottom) / (up + down);
  const zero = top + up * scale;
  const x = time => left + (time - begin) / (end - begin) * (width - left - right);
  const y = value => zero - value * scale;
  chart.replaceChildren();
  const step = niceStep(Math.max(up, down));
  for (let value = -Math.floor(down / step) * step; value <= up; value += step) {
    const line = { x1: left, x2: width - right, y1: y(value), y2: y(value) };
    draw(chart, "line", { ...line, class: Math.abs(value) < step / 2 ? "zero" : "line" });
    draw(chart, "text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" },
      number.format(Math.abs(Math.round(value * 1000) / 1000)));
  }
  const hours = width < 500 ? 6 : 3;
  const first = new Date(begin);
  first.setMinutes(0, 0, 0);
  for (let time = first.getTime(); time < end; time += 3600000) {
    const isDue = time >= begin && new Date(time).getHours() % hours === 0;
    if (!isDue || x(time) < left + 12 || x(time) > width - 24) continue;
    draw(chart, "text", { x: x(time), y: height - 6, "text-anchor": "middle" },
      clock.format(time));
  }
  const barWidth = (width - left - right) * energy.bucket_seconds * 1000 / (end - begin);
  const gap = Math.min(2, barWidth / 4);
  energy.buckets.forEach((bucket, index) => {
    const at = x(Date.parse(bucket.begins));
    const bar = (from, to, kind) => {
      if (to === from) return;
      draw(chart, "rect", { x: at + gap / 2, width: barWidth - gap, y: Math.min(y(from), y(to)),
        height: Math.max(.5, Math.abs(y(to) - y(from))), class: kind });
    };
    if (index === chosen) {
      draw(chart, "rect", { x: at, width: barWidth, y: top, height: height - top - bottom,
        class: "chosen" });
    }
    bar(0, bucket.production, "production");
    bar(bucket.production, above(bucket), "storage");
    bar(0, -bucket.consumption, "consumption");
    bar(-bucket.consumption, -below(bucket), "storage");
  });
};
const kWh = value => (value < 10 ? twoDecimals : oneDecimal).format(value) + " kWh";
const sum = field => energy.buckets.reduce((total, bucket) => total + bucket[field], 0);
const inWords = (production, consumption, discharge, charge) => "production " + kWh(production)
  + ", consumption " + kWh(consumption) + ", discharge " + kWh(discharge) + ", charge "
  + kWh(charge);
const showReadout = () => {
  const bucket = chosen === null ? null : energy.buckets[chosen];
  const total = inWords(sum("production"), sum("consumption"), sum("discharge"), sum("charge"));
  chart.setAttribute("aria-label", "Energy of the last 24 hours: " + total);
  // Spoken when somebody chooses a bar, not each time the sum moves.
  byId("readout").setAttribute("aria-live", bucket ? "polite" : "off");
  const all = (Date.parse(energy.to) - Date.parse(energy.from)) / energy.bucket_seconds / 1000;
  const known = energy.buckets.length < all
    ? energy.buckets.length + " of " + all + " quarters summed so far: " : "Altogether: ";
  if (!bucket) return set(byId("readout"), known + total);
  const begin = Date.parse(bucket.begins);
  set(byId("readout"), clock.format(begin) + "–"
    + clock.format(begin + energy.bucket_seconds * 1000) + ": "
    + inWords(bucket.production, bucket.consumption, bucket.discharge, bucket.charge));
};
const showEnergyTable = () => {
  if (!byId("energy-as-table").open) return;
  fill(byId("energy-table").tBodies[0], energy.buckets.map(bucket =>
    [moment.format(Date.parse(bucket.begins)), ...["production", "consumption", "discharge",
      "charge"].map(field => threeDecimals.format(bucket[field]))]).reverse());
};
const showEnergy = figures => {
  energy = figures;
  drawEnergy();
  showReadout();
  showEnergyTable();
};
const choose = index => {
  if (!energy || energy.buckets.length === 0) return;
  chosen = index === null ? null : Math.max(0, Math.min(energy.buckets.length - 1, index));
  drawEnergy();
  showReadout();
};
chart.addEventListener("pointermove", event => {
  if (!energy) return;
  const share = (event.offsetX - 52) / (chart.clientWidth - 56);
  const time = Date.parse(energy.from) + share * (Date.parse(energy.to) - Date.parse(energy.from));
  const index = energy.buckets.findLastIndex(bucket => Date.parse(bucket.begins) <= time);
  if (index !== chosen) choose(index < 0 ? null : index);
});
chart.addEventListener("pointerleave", () => choose(null));
chart.addEventListener("blur", () => choose(null));
chart.addEventListener("keydown", event => {
  const last = energy ? energy.buckets.length - 1 : 0;
  const moves = { ArrowLeft: (chosen ?? last + 1) - 1, ArrowRight: (chosen ?? -1) + 1, Home: 0,
    End: last };
  if (event.key === "Escape") choose(null);
  if (!(event.key in moves)) return;
  event.preventDefault();
  choose(moves[event.key]);
});
byId("energy-as-table").addEventListener("toggle", () => energy && showEnergyTable());
new ResizeObserver(drawEnergy).observe(chart);

// Grid codes.
const showBar = (cell, value) => {
  const bar = cell.querySelector("svg.bar") || draw(cell, "svg", { viewBox: "0 0 100 10",
    preserveAspectRatio: "none", "aria-hidden": "true" });
  bar.setAttribute("class", "bar" + (value < .5 ? " low" : value < .8 ? " middling" : ""));
  bar.replaceChildren();
  draw(bar, "rect", { class: "track", width: 100, height: 10, rx: 5 });
  draw(bar, "rect", { class: "value", width: Math.max(0, Math.min(1, value)) * 100, height: 10,
    rx: 5 });
};
const showSpark = (cell, scores) => {
  if (!cell.querySelector("svg")) cell.replaceChildren();
  const spark = cell.querySelector("svg") || draw(cell, "svg", { class: "spark",
    viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img" });
  spark.replaceChildren();
  spark.setAttribute("aria-label", "health of the last hour: from " + scores[0] + " to "
    + scores[scores.length - 1]);
  const points = scores.map((score, index) =>
    (scores.length === 1 ? 100 : index / (scores.length - 1) * 100).toFixed(1) + ","
      + (22 - score * 20).toFixed(1));
  draw(spark, "polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" });
};
const gridColumns = ["Health", "Last hour", "Stability", "Heard", "Late", "Silent", "In, kWh", "Out, kWh",
  "Load, MW", "Congestion"];
const gridRow = code => {
  const row = add(byId("grids").tBodies[0], "tr", { role: "row", "data-code": code });
  const name = add(row, "th", { scope: "row", role: "rowheader" }, code);
  add(name, "span", { class: "soft small" });
  for (const title of gridColumns) add(row, "td", { role: "cell", "data-label": title });
  return row;
};
const congestionTones = { low: "", medium: "", high: "attention", critical: "bad" };
const showGrid = grid => {
  const rows = [...byId("grids").tBodies[0].rows];
  const row = rows.find(row => row.dataset.code === grid.grid_code) || gridRow(grid.grid_code);
  const [name, health, hour, stability, heard, late, silent, flowIn, flowOut, load, congestion] =
    row.cells;
  set(name.lastChild, grid.district ? " " + grid.district : "");
  const latest = grid.health;
  if (latest) {
    const text = health.querySelector("span") || (health.replaceChildren(), add(health, "span"));
    if (!health.querySelector("svg")) health.prepend(draw(health, "svg", { class: "bar",
      viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }));
    showBar(health, latest.health_score);
    set(text, twoDecimals.format(latest.health_score));
    showSpark(hour, grid.health_history);
  } else {
    set(health, "no window yet", "soft");
    set(hour, "–");
  }
  set(stability, latest ? twoDecimals.format(latest.stability_index) : "–");
  const counted = grid.meters;
  set(heard, counted ? number.format(counted.heard) + " of " + number.format(counted.registered)
    : "–");
  for (const [cell, count] of [[late, counted && counted.late], [silent, counted && counted.silent]]) {
    set(cell, counted ? number.format(count) : "–", count > 0 ? "attention" : "");
  }
  set(flowIn, latest ? twoDecimals.format(latest.energy_in_kwh) : "–");
  set(flowOut, latest ? twoDecimals.format(latest.energy_out_kwh) : "–");
  set(load, grid.capacity_mw === null ? "–" : twoDecimals.format(grid.current_load_mw) + " of "
    + twoDecimals.format(grid.capacity_mw));
  set(congestion, latest ? latest.congestion_level : "–",
    latest ? congestionTones[latest.congestion_level] || "" : "");
};
const showGrids = grids => {
  const codes = new Set(grids.map(grid => grid.grid_code));
  for (const row of [...byId("grids").tBodies[0].rows]) {
    if (!codes.has(row.dataset.code)) row.remove();
  }
  grids.forEach(showGrid);
  const windows = grids.filter(grid => grid.health).map(grid => grid.health.recorded_at).sort();
  set(byId("grids-note"), grids.length === 0 ? "No grid code is registered in grid.locations."
    : windows.length === 0 ? "monitoring.grid_health has no window of the last hour."
      : "Latest window: " + moment.format(Date.parse(windows[windows.length - 1])) + ".");
};

// Rejections, each with an example to open.
const payloadText = base64 => new TextDecoder().decode(
  Uint8Array.from(atob(base64.replace(/\s/g, "")), letter => letter.charCodeAt(0)));
const rejectionNode = key => {
  const node = add(byId("rejections"), "div", { class: "rejection", "data-key": key });
  const head = add(node, "div", { class: "head" });
  add(head, "h3");
  add(head, "b");
  add(node, "p", { class: "soft small" });
  const example = add(node, "details");
  add(example, "summary", {}, "Show an example");
  add(example, "dl", { class: "facts" });
  return node;
};
const showExample = (list, example) => {
  const facts = [["device", example.device_id], ["topic", example.topic],
    ["place", example.json_path], ["what", example.detail],
    ["payload", payloadText(example.payload_base64)
      + (example.payload_bytes > 300 ? " …" : "")],
    ["to see all", "meter-ingestor dead-letters show " + example.id]]
    .filter(([, value]) => value !== null && value !== undefined);
  const text = JSON.stringify(facts);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren();
  for (const [term, value] of facts) {
    add(list, "dt", {}, term);
    const description = add(list, "dd");
    if (term === "device") add(description, "a", { href: meterAddress(value) }, value);
    else if (term === "payload") add(description, "code", {}, value);
    else description.textContent = value;
  }
};
const showRejections = rejections => {
  const place = byId("rejections");
  const keyOf = rejection => JSON.stringify([rejection.reason, rejection.rule]);
  const keys = new Set(rejections.map(keyOf));
  for (const node of [...place.children]) if (!keys.has(node.dataset.key)) node.remove();
  for (const rejection of rejections) {
    const key = keyOf(rejection);
    const node = [...place.children].find(child => child.dataset.key === key)
      || rejectionNode(key);
    set(node.querySelector("h3"), rejection.reason);
    set(node.querySelector("b"), number.format(rejection.letters), "attention");
    set(node.querySelector("p"), (rejection.rule ? rejection.rule + ", " : "") + "last at " + moment.format(Date.parse(rejection.last_at))
      + (rejection.attempts > rejection.letters
        ? ", came " + number.format(rejection.attempts) + " times" : ""));
    showExample(node.querySelector("dl"), rejection.example);
  }
  if (rejections.length === 0) {
    add(place, "p", { class: "soft" }, "No dead letter is open: nothing waits for a decision.");
  }
};

// Flags and register events, each with the latest meter.
const eventWords = { rollover: "rolled over", reset: "fell, counts from there",
  restored: "is back where it was", exchange: "meter exchanged", implausible_step: "rose too much",
  redefined: "counts something else now" };
const showNotices = notices => {
  const body = byId("notices").tBodies[0];
  fill(body, notices.map(notice => [
    notice.about === "register" ? "register " + (eventWords[notice.name] || notice.name) : notice.name,
    number.format(notice.times), notice.device_id]));
  notices.forEach((notice, index) => {
    const cell = body.rows[index].cells[2];
    if (cell.querySelector("a")) return;
    cell.replaceChildren();
    add(cell, "a", { href: meterAddress(notice.device_id) }, notice.device_id);
  });
  set(byId("notices-note"), notices.length > 0 ? "Each with the latest meter."
    : "No rule doubts a reading, and nothing happened to a register.");
};

byId("find").addEventListener("submit", event => {
  event.preventDefault();
  const id = byId("device").value.trim();
  if (id) location.assign(meterAddress(id));
});

// The stream. The browser connects again by itself; a silent one is noticed here.
let heard = null;
const listen = (name, show) => stream.addEventListener(name, event => {
  const figures = JSON.parse(event.data);
  if (figures !== null) show(figures);
});
const lost = () => {
  set(byId("state"), "No answer", "bad");
  set(byId("summary"), "The ingestor does not answer."
    + (heard ? " The figures are from " + moment.format(heard) + "." : ""));
  byId("page").className = "stale";
  document.title = "No answer · Meter ingestor";
};
const stream = new EventSource("/events");
listen("status", status => {
  heard = new Date();
  byId("page").className = "";
  showStatus(status);
});
listen("energy", showEnergy);
listen("grids", showGrids);
listen("rejections", showRejections);
listen("notices", showNotices);
for (const name of ["energy", "grids", "rejections", "notices"]) {
  stream.addEventListener(name + "-failure", event => {
    const failure = JSON.parse(event.data);
    set(byId(name + "-failure"), failure ? "Not up to date: " + failure : "");
  });
}
stream.addEventListener("error", lost);
setInterval(() => { if (heard && Date.now() - heard > 6000) lost(); }, 1000);
