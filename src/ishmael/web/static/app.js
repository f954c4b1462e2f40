// Small help for pages that work without it: what changes is shown at once, and a page outlives a failover.
"use strict";

const SILENCE_MS = 1200;
const RENEW_LIMIT_MS = 3000;
const LOOK_LIMIT_MS = 60000;
const KNOCK_EVERY_MS = 300;
const KNOCK_LIMIT_MS = 800;
const bar = document.getElementById("connection");
let source = null;
let heard = 0;
let lost = false;
let renewing = false;
let again = false;

function say(text, back) {
  bar.textContent = text;
  bar.hidden = !text;
  bar.classList.toggle("back", Boolean(back));
}

// A form somebody is filling in is left alone.
function typing() {
  return [...document.querySelectorAll("main input:not([type=hidden]), main textarea, main select")].some((field) =>
    field.matches("[type=checkbox]") ? field.checked !== field.defaultChecked
      : field.matches("select") ? [...field.options].some((option) => option.selected !== option.defaultSelected)
      : field.value !== field.defaultValue) || document.querySelector("main #plan, main .field.wrong, main[data-checked]") !== null;
}

async function renew() {
  if (renewing) { again = true; return; }
  renewing = true;
  again = false;
  try {
    // An answer from an address that has just moved may never come.
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(RENEW_LIMIT_MS) });
    if (answer.redirected) {
      // Who is typing is asked to sign in when the form is sent, and keeps what was typed. A page that was the answer to
      // signing in has no address of its own to be renewed from.
      if (new URL(answer.url).pathname === "/login" && !typing()) location.assign(answer.url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of typing() ? ["jobbox", "foot"] : ["main", "jobbox", "foot"]) {
      const now = document.getElementById(part);
      const next = page.getElementById(part);
      if (now && next && now.outerHTML !== next.outerHTML) now.replaceWith(next);
    }
  } catch { /* the watch below notices */ } finally {
    renewing = false;
    if (again) renew();
  }
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

// What the server says of a form that is only looked at takes the form's place: the way back leads to an empty one.
async function look(form, button) {
  const fields = new URLSearchParams(new FormData(form));
  fields.set(button.name, button.value);
  try {
    // Not form.action: a button of that name hides it.
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST", body: fields, headers: { Accept: "text/html" }, signal: AbortSignal.timeout(LOOK_LIMIT_MS),
    });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["main", "jobbox"]) document.getElementById(part)?.replaceWith(page.getElementById(part) ?? "");
    const main = document.getElementById("main");
    main.dataset.checked = "1";
    (main.querySelector("[aria-invalid], #plan button, [role=alert]") ?? main).scrollIntoView({ block: "center" });
    main.querySelector("[aria-invalid], #plan button")?.focus({ preventScroll: true });
  } catch {
    form.dataset.plain = "1";
    delete form.dataset.sent;
    form.requestSubmit(button);
  }
}

// A double click sends a form once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  if (event.submitter?.value !== "look" || form.dataset.plain) return;
  event.preventDefault();
  look(form, event.submitter);
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
});

if (document.body.dataset.live) {
  listen();
  setTimeout(watch, KNOCK_EVERY_MS);
  window.addEventListener("pagehide", () => source.close());
}
