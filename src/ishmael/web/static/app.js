// Small help for pages that work without it: what changes is shown at once, and a page outlives a failover.
"use strict";

const SILENCE_MS = 1200;
const KNOCK_EVERY_MS = 300;
const KNOCK_LIMIT_MS = 800;
const bar = document.getElementById("connection");
let source = null;
let heard = 0;
let lost = false;
let renewing = false;

function say(text, back) {
  bar.textContent = text;
  bar.hidden = !text;
  bar.classList.toggle("back", Boolean(back));
}

// A form somebody is filling in is left alone.
function typing() {
  return [...document.querySelectorAll("main input:not([type=hidden]), main textarea, main select")].some((field) =>
    field.matches("select") ? [...field.options].some((option) => option.selected !== option.defaultSelected)
      : field.value !== field.defaultValue) || document.querySelector("main #plan") !== null;
}

async function renew() {
  if (renewing) return;
  renewing = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname === "/login") { location.assign(answer.url); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of typing() ? ["jobbox"] : ["main", "jobbox"]) {
      const now = document.getElementById(part);
      const next = page.getElementById(part);
      if (now && next && now.outerHTML !== next.outerHTML) now.replaceWith(next);
    }
  } catch { /* the watch below notices */ } finally { renewing = false; }
}

function listen() {
  heard = performance.now();
  source = new EventSource(document.body.dataset.live);
  for (const kind of ["status", "job", "event", "beat"]) {
    source.addEventListener(kind, () => {
      heard = performance.now();
      if (kind !== "beat") renew();
    });
  }
}

async function knock() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(KNOCK_LIMIT_MS) });
    return answer.ok;
  } catch { return false; }
}

async function watch() {
  if (!lost && performance.now() - heard > SILENCE_MS) {
    lost = true;
    source.close();
    say(document.body.dataset.lost, false);
  }
  if (lost && await knock()) {
    lost = false;
    listen();
    await renew();
    say(document.body.dataset.back, true);
    setTimeout(() => { if (!lost) say("", false); }, 5000);
  }
  setTimeout(watch, KNOCK_EVERY_MS);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = button.dataset.done;
});

// A double click sends a form once.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
});

if (document.body.dataset.live) {
  listen();
  setTimeout(watch, KNOCK_EVERY_MS);
  window.addEventListener("pagehide", () => source.close());
}
