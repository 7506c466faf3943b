// The small page at `/`: one HTML text that shows `/api/v1/status` and fetches it each second.
//
// Names in the figures come from outside, so the script only ever sets `textContent`, and the
// policy lets nothing run or load but what carries the nonce of this one answer.

/// The page and its policy.
enum StatusPage {
  /// 128 random bits for one answer; hexadecimal digits are valid in a nonce.
  static func makeNonce() -> String {
    (0..<2).map { _ in
      let digits = String(UInt64.random(in: .min ... .max), radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Source: https://www.w3.org/TR/CSP3/
  static func contentSecurityPolicy(nonce: String) -> String {
    """
    default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'
    """
  }

  static func html(nonce: String) -> String {
    """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Meter ingestor</title>
    <link rel="icon" href="data:,">
    <style nonce="\(nonce)">
    \(style)
    </style>
    </head>
    <body>
    \(content)
    <script nonce="\(nonce)">
    \(script)
    </script>
    </body>
    </html>

    """
  }

  private static let style = """
    :root { color-scheme: light dark;
      --ground: #fafaf8; --card: #fff; --ink: #1c1e21; --soft: #5b6068; --line: #dfe1e4;
      --well: #14713a; --attention: #8a5200; --bad: #b3261e; }
    @media (prefers-color-scheme: dark) { :root {
      --ground: #131517; --card: #1b1e21; --ink: #e8eaed; --soft: #a3a9b1; --line: #33383d;
      --well: #6dd39a; --attention: #f2b84b; --bad: #ff8a80; } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--ground); color: var(--ink);
      font: 16px/1.5 system-ui, sans-serif; }
    main, footer { max-width: 60rem; margin: 0 auto; padding: 1rem; }
    h1 { font-size: 1rem; font-weight: 600; color: var(--soft); margin: .5rem 0; }
    h2 { font-size: 1rem; margin: 0 0 .5rem; }
    #state { font-weight: 700; margin: 0; }
    #summary { font-size: 1.4rem; line-height: 1.35; margin: .1rem 0 1rem;
      overflow-wrap: anywhere; }
    .well { color: var(--well); } .attention { color: var(--attention); } .bad { color: var(--bad); }
    section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
      padding: 1rem; margin: 0 0 1rem; }
    .pair { display: grid; gap: 0 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
    table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
    th, td { text-align: right; padding: .3rem .5rem; border-top: 1px solid var(--line);
      white-space: nowrap; }
    th { font-weight: 600; } thead th { color: var(--soft); border-top: 0; font-weight: 500; }
    th:first-child, td:first-child, .text td { text-align: left; }
    #rejected td:first-child, .text td:last-child { width: 99%; white-space: normal;
      overflow-wrap: anywhere; }
    tbody tr:last-child.total > * { border-top: 2px solid var(--soft); font-weight: 600; }
    p.note { margin: .75rem 0 0; } p.note, footer { color: var(--soft); font-size: .875rem; }
    a { color: inherit; }
    .stale section { opacity: .5; }
    @media (max-width: 44rem) {
      main, footer { padding: .75rem; } #summary { font-size: 1.2rem; }
      #ledger thead { position: absolute; clip-path: inset(50%); height: 1px; width: 1px;
        overflow: hidden; }
      #ledger tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.25rem;
        border-top: 1px solid var(--line); padding: .5rem 0; }
      #ledger th, #ledger td { border: 0 !important; padding: .05rem 0; display: flex;
        justify-content: space-between; }
      #ledger tbody th { grid-column: 1 / -1; }
      #ledger td::before { content: attr(data-label); color: var(--soft); font-weight: 400; }
    }
    """

  /// Roles are named because the narrow layout takes the table's away from rows and cells.
  private static let content = """
    <main id="page">
    <h1>GridTokenX meter ingestor <span id="version"></span></h1>
    <p id="state" role="status">Loading</p>
    <p id="summary">Asking for the figures.</p>
    <noscript><p>This page needs JavaScript; the same figures are at
    <a href="/api/v1/status">/api/v1/status</a> and <a href="/metrics">/metrics</a>.</p></noscript>
    <section aria-labelledby="ledger-title">
    <h2 id="ledger-title">Readings since the start</h2>
    <table id="ledger" role="table" aria-labelledby="ledger-title">
    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Kind</th></tr></thead>
    <tbody role="rowgroup"></tbody></table>
    <p class="note" id="speed"></p>
    </section>
    <div class="pair">
    <section aria-labelledby="rejected-title">
    <h2 id="rejected-title">Rejected, by reason</h2>
    <table><tbody id="rejected"></tbody></table>
    <p class="note">Rejected readings are kept in ingest.dead_letters.</p>
    </section>
    <section aria-labelledby="components-title">
    <h2 id="components-title">Components</h2>
    <table class="text"><tbody id="components"></tbody></table>
    </section>
    </div>
    </main>
    <footer><a href="/metrics">metrics</a> · <a href="/api/v1/status">status as JSON</a> ·
    <a href="/readyz">readiness</a> · <span id="uptime"></span></footer>
    """

  private static let script = #"""
    "use strict";
    const columns = [["received", "Received"], ["stored", "Stored"], ["duplicate", "Duplicate"],
      ["zero", "Zero"], ["rejected", "Rejected"], ["in_flight", "In flight"],
      ["imbalance", "Unaccounted"], ["rate", "Stored/s"]];
    const kinds = ["production", "consumption", "storage", "unknown", "total"];
    const words = { well: "Well", attention: "Attention", not_ready: "Not ready" };
    const tones = { well: "well", attention: "attention", not_ready: "bad" };
    const number = new Intl.NumberFormat("en");
    const byId = id => document.getElementById(id);
    const set = (node, text, tone = "") => {
      if (node.textContent !== text) node.textContent = text;
      if (node.className !== tone) node.className = tone;
    };
    const add = (parent, name, attributes = {}) => {
      const node = document.createElement(name);
      for (const key in attributes) node.setAttribute(key, attributes[key]);
      return parent.appendChild(node);
    };
    // Rows are kept and only their text changes, so that a selection or a screen reader's place stays.
    const fill = (body, rows) => {
      while (body.rows.length > rows.length) body.deleteRow(-1);
      rows.forEach((cells, index) => {
        const row = body.rows[index] || body.insertRow();
        while (row.cells.length > cells.length) row.deleteCell(-1);
        cells.forEach(([text, tone], at) => set(row.cells[at] || row.insertCell(), text, tone || ""));
      });
    };
    const ledger = byId("ledger");
    for (const [, title] of columns) {
      add(ledger.tHead.rows[0], "th", { scope: "col", role: "columnheader" }).textContent = title;
    }
    for (const kind of kinds) {
      const row = add(ledger.tBodies[0], "tr", { role: "row", class: kind });
      add(row, "th", { scope: "row", role: "rowheader" }).textContent = kind;
      for (const [, title] of columns) add(row, "td", { role: "cell", "data-label": title });
    }
    const milliseconds = seconds => number.format(Math.round(seconds * 10000) / 10) + " ms";
    const duration = seconds => {
      const [d, h, m, s] = [seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60]
        .map(Math.floor);
      return (d ? d + " d " : "") + (d || h ? h + " h " : "") + (d || h || m ? m + " min " : "") + s + " s";
    };
    const showLedger = status => kinds.forEach((kind, at) => {
      const line = { ...status.ledger[kind], rate: status.rates_per_second[kind].stored };
      if (line.rate >= 10) line.rate = Math.round(line.rate);
      columns.forEach(([field], column) => {
        const bad = (field === "imbalance" && line[field] !== 0) ? "bad"
          : (field === "rejected" && line[field] > 0) ? "attention" : "";
        set(ledger.tBodies[0].rows[at].cells[column + 1], number.format(line[field]), bad);
      });
    });
    const show = status => {
      set(byId("state"), words[status.state] || status.state, tones[status.state]);
      set(byId("summary"), status.summary);
      set(byId("version"), status.version);
      showLedger(status);
      const commits = status.commits;
      set(byId("speed"), commits.count === 0 ? "No commit in the last minute."
        : number.format(commits.count) + (commits.count === 1 ? " commit" : " commits")
          + " in the last minute: half within "
          + milliseconds(commits.p50_seconds) + ", 99 % within "
          + milliseconds(commits.p99_seconds) + ".", "note");
      const reasons = Object.entries(status.rejected_by_reason).filter(([, count]) => count > 0)
        .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
      fill(byId("rejected"), reasons.length === 0 ? [[["Nothing rejected."]]]
        : reasons.map(([reason, count]) => [[reason], [number.format(count)]]));
      fill(byId("components"), status.components.map(component => [[component.name],
        [component.ready ? "ok" : component.failure, component.ready ? "well" : "bad"]]));
      set(byId("uptime"), "up " + duration(status.uptime_seconds));
    };
    let heard = null;
    const refresh = async () => {
      try {
        const answer = await fetch("/api/v1/status",
          { cache: "no-store", signal: AbortSignal.timeout(5000) });
        if (!answer.ok) throw new Error("it answered " + answer.status);
        show(await answer.json());
        heard = new Date();
        byId("page").className = "";
      } catch (error) {
        set(byId("state"), "No answer", "bad");
        set(byId("summary"), "The ingestor does not answer (" + error.message + ")."
          + (heard ? " The figures are from " + heard.toLocaleTimeString() + "." : ""));
        byId("page").className = "stale";
      }
      setTimeout(refresh, 1000);
    };
    refresh();
    """#
}
