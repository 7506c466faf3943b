// The page of one meter: asks for it every two seconds.
const encodedID = location.pathname.slice("/meters/".length);
const path = "/api/v1/meters/" + encodedID;
byId("as-json").setAttribute("href", path);
byId("how").dataset.path = path;
const at = text => moment.format(Date.parse(text));
const facts = (heading, pairs) => {
  add(byId("known"), "h3", {}, heading);
  const list = add(byId("known"), "dl", { class: "facts" });
  for (const [term, value] of pairs) {
    if (value === null || value === undefined) continue;
    add(list, "dt", {}, term);
    add(list, "dd", {}, String(value));
  }
};
const known = meter => {
  const text = JSON.stringify([meter.registrations, meter.states]);
  if (byId("known").dataset.text === text) return;
  byId("known").dataset.text = text;
  byId("known").replaceChildren();
  for (const entry of meter.registrations) {
    facts("Registered for " + entry.kind, [["name", entry.name], ["type", entry.type],
      ["grid", entry.grid_code], ["rated", entry.rated_kw === null ? null : entry.rated_kw + " kW"],
      ["verified", entry.verified === null ? null : entry.verified ? "yes" : "no"]]);
  }
  for (const state of meter.states) {
    facts("Remembered of its " + state.kind, [["heard last", at(state.last_at)],
      ["energy", state.last_energy_kwh === null ? null : state.last_energy_kwh + " kWh"],
      ["the same in a row", state.same_in_a_row], ["usual level",
        state.level_kwh === null ? null : state.level_kwh + " kWh"],
      ["sequence", state.last_sequence]]);
  }
  if (meter.registrations.length === 0) {
    add(byId("known"), "p", { class: "soft" }, "No registry knows it.");
  }
};
const amount = value => value === null ? "–" : value.toFixed(6).replace(/\.?0+$/, "");
const registers = meter => {
  const [stands, events] = [meter.registers, meter.register_events];
  byId("registers-section").hidden = stands.length + events.length === 0;
  fill(byId("registers").tBodies[0], stands.map(register =>
    [register.register, register.measure.replace("_", " "),
      amount(register.value) + (register.measure === "power" ? " kW" : " kWh")
        + (register.last_at ? " at " + at(register.last_at) : "")]));
  fill(byId("events").tBodies[0], events.map(event =>
    [at(event.at), event.event.replace("_", " "), event.register,
      "from " + amount(event.before) + " to " + amount(event.after)]));
};
const orNothing = (rows, nothing) => rows.length === 0 ? [[[nothing, "soft"]]] : rows;
const show = meter => {
  const open = meter.dead_letters.filter(letter => letter.open).length;
  const last = meter.readings[0];
  set(byId("state"), open > 0 ? "Attention" : "Well", open > 0 ? "attention" : "well");
  set(byId("summary"), meter.device_id + (last ? " last reported " + last.kwh + " kWh ("
    + last.kind + ") for " + at(last.at) : " has no stored reading") + "; "
    + plural(meter.gaps.length, "gap", "gaps") + ", " + plural(meter.flags.length, "flag", "flags")
    + ", " + plural(open, "open dead letter", "open dead letters") + ".");
  document.title = meter.device_id;
  fill(byId("readings").tBodies[0], meter.readings.slice(0, 25).map(reading =>
    [at(reading.at), [reading.kind, "text"], threeDecimals.format(reading.kwh),
      [reading.note, "text"]]));
  set(byId("readings-note"), meter.readings.length > 25
    ? "The newest 25 of the " + meter.readings.length + " that were read." : "");
  known(meter);
  registers(meter);
  fill(byId("gaps").tBodies[0], orNothing(meter.gaps.map(gap =>
    [gap.kind, "from " + at(gap.from) + " to " + at(gap.to) + ", "
      + duration(gap.seconds)]), "None."));
  fill(byId("flags").tBodies[0], orNothing(meter.flags.map(flag =>
    [at(flag.at), flag.kind, flag.rule, flag.detail]), "None."));
  fill(byId("letters").tBodies[0], orNothing(meter.dead_letters.map(letter =>
    [at(letter.received_at), letter.open ? ["open", "attention"] : letter.resolution || "closed",
      letter.reason + (letter.rule ? ": " + letter.rule : ""), letter.id,
      [letter.json_path, letter.detail].filter(text => text).join(": ")]), "None."));
};
const refresh = async () => {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    const figures = await answer.json();
    if (!answer.ok) throw new Error(figures.error);
    byId("page").className = "";
    byId("sections").hidden = false;
    show(figures.meter);
  } catch (error) {
    set(byId("state"), "No answer", "bad");
    set(byId("summary"), error.message);
    byId("page").className = "stale";
  }
  setTimeout(refresh, 2000);
};
byId("sections").hidden = true;
refresh();
