"use strict";
// The table of students: sorted, filtered, and shown a page at a time. Texts are set as text alone.
(() => {
  const PAGE = 200;
  const STATUS = 2;
  const { columns, rows } = JSON.parse(document.getElementById("rows").textContent);
  const at = (id) => document.getElementById(id);
  const headers = [...at("region").querySelectorAll("thead th")];
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const groups = columns.findIndex((column) => column.kind === "groups");

  let sorted = { column: -1, sign: 1 };
  let group = 0;
  let first = 0;
  let shown = rows;

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const searched = (row) => {
    row.text ??= plain(row.cells.filter((cell) => typeof cell === "string").join("\n"));
    return row.text;
  };

  function matches() {
    const words = plain(at("search").value).split(/\s+/).filter(Boolean);
    const status = at("status").value;
    const lost = new Set(at("lost").value.split(" ").filter(Boolean).map(Number));
    return (row) =>
      (!status || row.cells[STATUS] === status) &&
      (!lost.size || row.lost.some((place) => lost.has(place))) &&
      (!group || row.cells[groups].includes(group)) &&
      words.every((word) => searched(row).includes(word));
  }

  const isMissing = (cell) => cell === null || cell === "" || cell.length === 0;

  function compare(one, other) {
    const a = one.cells[sorted.column];
    const b = other.cells[sorted.column];
    // What is missing comes last, up and down alike.
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
    const kind = columns[sorted.column].kind;
    if (kind === "text") return sorted.sign * collator.compare(a, b);
    return sorted.sign * (kind === "groups" ? a[0] - b[0] : a - b);
  }

  function update() {
    shown = rows.filter(matches());
    if (sorted.column >= 0) shown.sort(compare);
    headers.forEach((header, place) => {
      if (place !== sorted.column) header.removeAttribute("aria-sort");
      else header.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
    });
    at("only-group").hidden = !group;
    at("only-group").textContent = `Only group ${group} ✕`;
    draw(0);
  }

  function draw(from) {
    first = from;
    const page = shown.slice(first, first + PAGE);
    at("body").replaceChildren(...page.map(line));
    at("region").scrollTop = 0;
    const stretch = `, rows ${first + 1} to ${first + page.length} on this page`;
    const paged = shown.length > PAGE;
    at("count").textContent =
      `${shown.length} of ${rows.length} shown${paged ? stretch : ""}`;
    at("previous").hidden = at("next").hidden = !paged;
    at("previous").disabled = first === 0;
    at("next").disabled = first + PAGE >= shown.length;
  }

  function line(row) {
    const element = document.createElement("tr");
    element.append(...row.cells.map((cell, place) => box(row, cell, place)));
    return element;
  }

  function box(row, cell, place) {
    const { kind } = columns[place];
    const element = document.createElement(place ? "td" : "th");
    element.className = kind;
    if (!place) element.scope = "row";
    if (kind === "groups") {
      element.append(...cell.flatMap((number, k) => (k ? [", ", toGroup(number)] : [toGroup(number)])));
    } else if (kind === "number") {
      element.textContent = cell === null ? "" : String(Math.round(cell * 100) / 100);
    } else {
      // Isolated, so that a name cannot turn the direction of what stands beside it.
      const text = document.createElement("bdi");
      text.textContent = cell;
      element.append(!place && row.link ? link(row.link, text) : text);
    }
    return element;
  }

  function toGroup(number) {
    return at(`group-${number}`) ? link(`#group-${number}`, String(number)) : String(number);
  }

  function link(reference, content) {
    const element = document.createElement("a");
    element.href = reference;
    element.append(content);
    return element;
  }

  function clear() {
    for (const id of ["search", "status", "lost"]) at(id).value = "";
    group = 0;
  }

  // What the buttons in the sections above ask for.
  function only(change) {
    clear();
    change();
    update();
    at("students").scrollIntoView();
    at("region").focus({ preventScroll: true });
  }

  headers.forEach((header, place) => {
    header.firstElementChild.addEventListener("click", () => {
      if (sorted.column !== place) sorted = { column: place, sign: 1 };
      else if (sorted.sign > 0) sorted.sign = -1;
      else sorted = { column: -1, sign: 1 };
      update();
    });
  });
  at("search").addEventListener("input", update);
  at("status").addEventListener("change", update);
  at("lost").addEventListener("change", update);
  at("clear").addEventListener("click", () => { clear(); update(); at("search").focus(); });
  at("only-group").addEventListener("click", () => { group = 0; update(); at("clear").focus(); });
  at("previous").addEventListener("click", () => draw(Math.max(0, first - PAGE)));
  at("next").addEventListener("click", () => draw(first + PAGE));
  for (const button of document.querySelectorAll("button[data-text], button[data-lost], button[data-group]")) {
    const { text, lost, group: number } = button.dataset;
    button.hidden = false;
    button.addEventListener("click", () => only(() => {
      if (text) at("search").value = text;
      if (lost) at("lost").value = lost;
      if (number) group = Number(number);
    }));
  }

  at("table").hidden = false;
  update();
})();
