// Small help for pages that work without it: what changes is shown at once, and a page outlives a failover.
"use strict";

const SILENCE_MS = 1200;
const RENEW_LIMIT_MS = 3000;
const LOOK_LIMIT_MS = 60000;
const KNOCK_EVERY_MS = 300;
const KNOCK_LIMIT_MS = 800;
const RESUME_MS = 1000;
const READ_MS = 600;
const bar = document.getElementById("connection");
let source = null;
let heard = 0;
let lost = false;
let renewing = false;
let again = false;
let ended = false;
let planned = -Infinity;
let clicks = 0;

function say(text, back) {
  bar.textContent = text;
  bar.hidden = !text;
  bar.classList.toggle("back", Boolean(back));
}

// A form somebody is filling in is left alone.
function changed(within) {
  return [...within.querySelectorAll("input:not([type=hidden]), textarea, select")].some((field) =>
    field.matches("[type=checkbox]") ? field.checked !== field.defaultChecked
      : field.matches("select") ? field.value !== ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value
      : field.value !== field.defaultValue);
}
function typing() {
  return changed(document.getElementById("main")) || document.querySelector("main #plan, main .field.wrong, main[data-checked], main details[open]") !== null;
}

// Changes a page into what it is now. What stays the same stays the same element: focus, scrolling and what is selected, too.
function become(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeType !== Node.ELEMENT_NODE || now.nodeName !== next.nodeName) { now.replaceWith(next); return; }
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  const old = [...now.childNodes], fresh = [...next.childNodes];
  // What was put in between or taken out moves nothing that follows.
  while (old.length && fresh.length && old[0].isEqualNode(fresh[0])) { old.shift(); fresh.shift(); }
  const after = [];
  while (old.length && fresh.length && old.at(-1).isEqualNode(fresh.at(-1))) { after.unshift(old.pop()); fresh.pop(); }
  old.splice(fresh.length).forEach((node) => node.remove());
  fresh.forEach((node, number) => { if (number < old.length) become(old[number], node); else now.insertBefore(node, after[0] ?? null); });
}

// The session is over. Who is typing goes on, and signs in when the form is sent.
function end(address) {
  ended = true;
  source.close();
  if (typing()) say(document.body.dataset.ended, false); else location.assign(address);
}

async function renew() {
  if (ended) return;
  if (renewing) { again = true; return; }
  renewing = true;
  again = false;
  try {
    // An answer from an address that has just moved may never come.
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Background": "1" }, signal: AbortSignal.timeout(RENEW_LIMIT_MS) });
    if (answer.redirected) {
      if (["/login", "/first"].includes(new URL(answer.url).pathname)) end(answer.url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of typing() ? ["headlamp", "jobbox", "foot"] : ["main", "headlamp", "jobbox", "foot"]) {
      const now = document.getElementById(part);
      const next = page.getElementById(part);
      if (now && next) become(now, next);
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
  // Said by the server, or refused at once. Another tab may have been used meanwhile: then this one goes on.
  source.addEventListener("ended", () => { source.close(); resume(); });
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED && !lost) resume(); });
}

async function resume() {
  await renew();
  if (!ended && !lost) setTimeout(() => { if (!ended && !lost) listen(); }, RESUME_MS);
}

async function knock() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(KNOCK_LIMIT_MS) });
    return answer.ok;
  } catch { return false; }
}

async function watch() {
  if (ended) return;
  if (!lost && performance.now() - heard > SILENCE_MS) {
    lost = true;
    source.close();
    say(document.body.dataset.lost, false);
  }
  if (lost && await knock()) {
    lost = false;
    sendable();
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
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = button.dataset.done;
  } catch {
    // The browser does not let pages copy: what is to be copied is at least selected.
    getSelection().selectAllChildren(text);
    button.textContent = document.body.dataset.select;
  }
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
    for (const part of ["main", "headlamp", "jobbox"]) document.getElementById(part)?.replaceWith(page.getElementById(part) ?? "");
    const main = document.getElementById("main");
    main.dataset.checked = "1";
    planned = performance.now();
    (main.querySelector("[aria-invalid], #plan button, [role=alert]") ?? main).scrollIntoView({ block: "center" });
    // Not the button that does it: a key that is still held would press it.
    main.querySelector("[aria-invalid], #plan-title")?.focus({ preventScroll: true });
  } catch {
    form.dataset.plain = "1";
    delete form.dataset.sent;
    form.requestSubmit(button);
  }
}

// A form that is half filled in comes back in the other language; passwords are left out.
function keep(form) {
  const forms = [...document.querySelectorAll("main form")];
  const filled = forms.find(changed) ?? (typing() && forms.find((one) =>
    [...one.querySelectorAll("input:not([type=hidden], [type=password], [type=checkbox]), textarea")].some((field) => field.value)));
  if (!filled) return;
  const kept = {};
  for (const [name, value] of new FormData(filled)) if (name !== "csrf" && filled.elements[name]?.type !== "password") kept[name] = value;
  const button = filled.querySelector("button[name=action]");
  if (button) kept.action = button.value;
  for (const [name, value] of [["kept", JSON.stringify(kept)], ["next", filled.getAttribute("action")]]) {
    const field = form.elements[name] ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name }));
    field.value = value;
  }
}
document.getElementById("languages").addEventListener("submit", (event) => keep(event.target));

// A page that answers a form is the page of that form, wherever the form was sent.
if (document.querySelector("main[data-checked]") && location.pathname !== document.body.dataset.path) {
  history.replaceState(null, "", document.body.dataset.path);
}

document.addEventListener("click", (event) => { clicks = event.detail; }, true);

// A double click sends a form once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  // The second half of a double click meant what was there before.
  const unread = clicks > 1 && event.submitter?.value !== "look" && performance.now() - planned < READ_MS;
  if (form.dataset.sent || unread) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  if (event.submitter?.value !== "look" || form.dataset.plain) return;
  event.preventDefault();
  look(form, event.submitter);
});
// After the way back, and when what was sent got no answer, a form may be sent again.
function sendable() {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
}
window.addEventListener("pageshow", sendable);

if (document.body.dataset.live) {
  listen();
  setTimeout(watch, KNOCK_EVERY_MS);
  window.addEventListener("pagehide", () => source.close());
}
