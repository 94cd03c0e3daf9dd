// Sorting, finding and copying; the page says everything without this file.
"use strict";

const words = document.currentScript.dataset;

// One click on a head sorts, the next turns the order round. Cells may carry data-key; numbers sort as numbers.
function sortable(table) {
  const body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent.trim();
    const value = Number(text.replace(/,/g, ""));
    return text !== "" && !Number.isNaN(value) ? value : text.toLowerCase();
  };
  const compare = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort((a, b) => turn * compare(a[0], b[0]));
      body.append(...rows.map((pair) => pair[1]));
    });
  });
}

// A field above a long table hides the rows that lack the words typed.
function findable(table) {
  if (table.tBodies[0].rows.length < 8 || table.classList.contains("short")) return;
  const label = document.createElement("label");
  const field = document.createElement("input");
  label.className = "find";
  field.type = "search";
  label.append(`${words.find} `, field);
  field.addEventListener("input", () => {
    const sought = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !sought.every((word) => text.includes(word));
    }
  });
  table.parentElement.before(label);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// Without leave to write the clipboard the filter is selected, ready for the copy key.
function copyable(code) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = words.copy;
  button.setAttribute("aria-label", words.label.split("{filter}").join(code.textContent));
  button.addEventListener("click", async () => {
    const done = await copy(code.textContent);
    if (!done) getSelection().selectAllChildren(code);
    button.textContent = done ? words.copied : words.selected;
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  });
  code.after(button);
}

document.querySelectorAll("table.sortable").forEach((table) => { sortable(table); findable(table); });
document.querySelectorAll("code.filter").forEach(copyable);
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) { fold.open = true; fold.dataset.folded = ""; }
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-folded]")) { fold.open = false; delete fold.dataset.folded; }
});
