// The pages' own script. All pages but Stripe's fields work without it: it moves countdowns, keeps forms from being sent
// twice, closes menus.

const everywhere = (selector, root) => [
  ...(root.matches?.(selector) ? [root] : []),
  ...root.querySelectorAll(selector),
];

const two = (number) => String(number).padStart(2, "0");

// The same words as `text::duration` in Rust.
const duration = (seconds) => {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = seconds % 60;
  if (days) return `${days} ${days === 1 ? "day" : "days"} ${hours} h`;
  if (hours) return `${hours} h ${two(minutes)} min`;
  return minutes ? `${minutes} min ${two(rest)} s` : `${rest} s`;
};

// Countdowns run on the seconds that the server counted, by a clock that nobody can set. A sleeping computer does not
// stop it.
const running = new Set();

const start = (element) => {
  const seconds = Number(element.dataset.seconds);
  if (Number.isFinite(seconds)) running.add({ element, end: performance.now() + seconds * 1000 });
};

const tick = () => {
  for (const countdown of running) {
    const { element, end } = countdown;
    if (!element.isConnected) {
      running.delete(countdown);
      continue;
    }
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    const text = duration(left);
    if (element.textContent !== text) element.textContent = text;
    if (left === 0) {
      running.delete(countdown);
      due(element);
    }
  }
};

// At 0 the server is asked, by the link of the same part of the page. Up to a second of chance spreads the requests of
// all who wait.
const due = (element) => {
  const link = element.closest("[data-live], .offer")?.querySelector('[hx-trigger~="due"]');
  if (link) setTimeout(() => link.dispatchEvent(new CustomEvent("due")), 300 + Math.random() * 1000);
};

setInterval(tick, 250);

// Stripe's fields, on the page that pays. What follows a payment is decided by the server alone.
const mountStripe = (form) => {
  const { key, secret } = form.dataset;
  const fault = form.querySelector("[role=alert]");
  const button = form.querySelector("button");
  const say = (text) => {
    fault.textContent = text;
    fault.hidden = false;
  };
  if (!globalThis.Stripe) return say("The fields for the card could not be loaded. Load the page again.");
  const stripe = Stripe(key);
  const elements = stripe.elements({ clientSecret: secret });
  elements.create("payment").mount(form.querySelector(".stripe-fields"));
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    fault.hidden = true;
    const { error } = await stripe.confirmPayment({ elements, confirmParams: { return_url: form.dataset.return } });
    say(error.message);
    button.disabled = false;
  });
};

// The time of the reader's own clock, beside that of the business.
const ownTime = (time) => {
  const own = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  time.title += `; by your clock: ${own}`;
};

const prepare = (root) => {
  everywhere("time[title]", root).forEach(ownTime);
  everywhere("form[data-stripe]", root).forEach(mountStripe);
  everywhere("[data-seconds]", root).forEach(start);
  everywhere("[data-print]", root).forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => print());
  });
};

// What changed in a part that came anew is said to readers of screens, and shown in the title to those who look elsewhere.
let told = document.querySelector("[data-news]")?.dataset.news;

const tell = (root) => {
  const news = everywhere("[data-news]", root)[0]?.dataset.news;
  if (!news || news === told) return;
  told = news;
  document.getElementById("news").textContent = news;
  document.title = `${news} – ${document.title.split(" – ").pop()}`;
};

prepare(document);
document.addEventListener("htmx:load", (event) => {
  if (event.target === document.body) return;
  prepare(event.target);
  tell(event.target);
});

// A form is sent once. The server recognises a second request by its key; this spares the buyer the question.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.once === undefined) return;
  if (form.dataset.sent !== undefined) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "";
  form.setAttribute("aria-busy", "true");
  // After the event, so that the name of the pressed button is sent.
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
  setTimeout(() => release(form), 20000);
});

// For a request that was stopped or never arrived.
const release = (form) => {
  delete form.dataset.sent;
  form.removeAttribute("aria-busy");
  for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
};

// Back brings a page as it was left. What runs down is asked for anew.
addEventListener("pageshow", (event) => {
  const [navigation] = performance.getEntriesByType("navigation");
  if (!event.persisted && navigation?.type !== "back_forward") return;
  document.querySelectorAll("form[data-sent]").forEach(release);
  document.querySelectorAll("[data-seconds]").forEach(due);
});

// Menus close by Escape and by a click elsewhere.
const open = () => document.querySelectorAll("details[data-dropdown][open]");
document.addEventListener("click", (event) => {
  for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of open()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

