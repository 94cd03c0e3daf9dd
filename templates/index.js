// The first page of an index: finds, filters and sorts all captures, on whatever page they stand; the rest is in the
// address, so that it can be shared. Without this file the page shows its captures, worst first.
const SHOWN_AT_FIRST = 50;
const COLUMNS = ["place", "file", null, "side", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "start"];

// What the page knows of each capture; where there are several pages, packed together with the rows of all.
async function captures(block, table) {
  const rows = [...table.tBodies[0].rows];
  let data;
  if ("packed" in block.dataset) {
    const letters = atob(block.textContent);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    data = await new Response(unpacked).json();
  } else {
    data = JSON.parse(block.textContent);
  }
  return data.captures.map(([file, status, severity, side, rules, also, numbers, start, html], place) => ({
    place, status, severity, side, numbers, start, html, also, element: rows[place],
    file: file.toLowerCase(), rules: rules.map((rule) => data.rules[rule]),
  }));
}

function element(capture) {
  if (!capture.element) {
    const template = document.createElement("template");
    template.innerHTML = capture.html;
    capture.element = template.content.firstElementChild;
  }
  return capture.element;
}

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": "\"", "&#39;": "'" };
function text(capture) {
  if (capture.text === undefined) {
    const html = capture.html ?? capture.element.outerHTML;
    const shown = html.replace(/<[^>]*>/g, " ").replace(/&(?:amp|lt|gt|#34|#39);/g, (one) => ENTITIES[one]);
    capture.text = `${shown} ${capture.also} ${capture.rules.join(" ")}`.toLowerCase();
  }
  return capture.text;
}

// Texts are made beforehand, a few at a time, so that the first search is as quick as the next.
function prepare(all, from = 0) {
  for (const capture of all.slice(from, from + 500)) text(capture);
  if (from + 500 < all.length) setTimeout(prepare, 0, all, from + 500);
}

function compare(a, b) {
  const none = (value) => value === null || value === undefined || value === "";
  if (none(a) || none(b)) return none(a) - none(b) || 0;
  return a < b ? -1 : a > b ? 1 : 0;
}

function index(all, table, filters) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const fields = [...filters.querySelectorAll("input, select")];
  const status = filters.querySelector("[role=status]");
  const more = document.querySelector("button[name=more]");
  const pages = document.querySelectorAll("nav.pages");
  let found = all;
  let sorted = { column: 0, turn: 1 };
  let limit = SHOWN_AT_FIRST;

  const number = (n) => n.toLocaleString("en");
  const key = (capture, column) => typeof column === "number" ? capture.numbers[column] : capture[column];

  function show() {
    body.replaceChildren(...found.slice(0, limit).map(element));
    status.textContent = filters.dataset.showing.replace("{shown}", number(found.length)).replace("{all}", number(all.length));
    const rest = Math.min(found.length - limit, 500);
    more.parentElement.hidden = rest <= 0;
    more.textContent = filters.dataset.more.replace("{n}", number(rest));
    for (const one of pages) one.hidden = true;
  }

  function choose() {
    const wanted = Object.fromEntries(fields.map((field) => [field.name, field.value]));
    const sought = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    found = all.filter((one) =>
      ["severity", "status", "side"].every((name) => !wanted[name] || one[name] === wanted[name]) &&
      (!wanted.rule || one.rules.includes(wanted.rule)) && sought.every((word) => text(one).includes(word)));
    const column = COLUMNS[sorted.column];
    if (sorted.column || sorted.turn < 0) {
      found.sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        const order = compare(x, y);
        return (x == null || y == null ? order : sorted.turn * order) || a.place - b.place;
      });
    }
    heads.forEach((head, at) => {
      const here = at === sorted.column && (at || sorted.turn < 0);
      if (here) head.setAttribute("aria-sort", sorted.turn > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    limit = SHOWN_AT_FIRST;
    show();
  }

  function note() {
    const told = new URLSearchParams();
    for (const field of fields) if (field.value) told.set(field.name, field.value);
    if (sorted.column || sorted.turn < 0) told.set("sort", (sorted.turn < 0 ? "-" : "") + sorted.column);
    const filter = told.toString();
    history.replaceState(null, "", filter || location.hash.includes("=") ? `#${filter}` : location.href);
  }

  function obey() {
    if (!location.hash.includes("=")) return false;
    const told = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      field.value = told.get(field.name) ?? "";
      if (field.selectedIndex === -1) field.selectedIndex = 0;
    }
    const sort = Number(told.get("sort") ?? 0);
    sorted = COLUMNS[Math.abs(sort)] != null ? { column: Math.abs(sort), turn: Object.is(sort, -0) || sort < 0 ? -1 : 1 } : sorted;
    return true;
  }

  heads.forEach((head, at) => {
    if (COLUMNS[at] === null) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const first = head.classList.contains("n") ? -1 : 1;
    button.addEventListener("click", () => {
      sorted = { column: at, turn: at === sorted.column && head.ariaSort ? -sorted.turn : at ? first : -sorted.turn };
      choose();
      note();
    });
  });
  for (const field of fields) field.addEventListener("input", () => { choose(); note(); });
  filters.querySelector("[name=clear]").addEventListener("click", () => {
    for (const field of fields) field.value = "";
    sorted = { column: 0, turn: 1 };
    choose();
    note();
  });
  more.addEventListener("click", () => { limit += 500; show(); });
  addEventListener("hashchange", () => {
    if (!obey()) return;
    choose();
    document.getElementById("captures").scrollIntoView();
  });
  filters.hidden = false;
  for (const field of fields) field.value = ""; // a browser may have kept what was there before
  if (obey()) choose();
  else show();
  setTimeout(prepare, 0, all);
}

const block = document.getElementById("index-data");
if (block) {
  const table = document.querySelector("table.captures");
  captures(block, table).then((all) => index(all, table, document.querySelector(".filters"))).catch(() => {});
}
