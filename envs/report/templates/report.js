"use strict";
const fields = ["agent", "verdict", "task"].map((id) => document.getElementById(id));
const [agent, verdict, task] = fields;
const pages = [...document.querySelectorAll("details.t")];

function filter() {
  const part = task.value.trim().toLowerCase();
  let shown = 0;
  for (const page of pages) {
    const { agent: a, verdict: v, task: t } = page.dataset;
    const keep =
      (!agent.value || a === agent.value) &&
      (!verdict.value || v === verdict.value) &&
      t.toLowerCase().includes(part);
    page.hidden = !keep;
    shown += keep;
  }
  document.getElementById("count").textContent = `${shown} of ${pages.length}`;
}

function openLinked() {
  const page = document.getElementById(location.hash.slice(1));
  if (page instanceof HTMLDetailsElement) {
    page.hidden = false;
    page.open = true;
    page.scrollIntoView();
  }
}

for (const field of fields) field.addEventListener("input", filter);
addEventListener("hashchange", openLinked);
filter();
openLinked();
