// Adds to a page that works without it: a count of words, drag and drop, details of a token or a word, no reload.
"use strict";

const outcome = document.getElementById("outcome");
const form = document.getElementById("form");
document.documentElement.classList.add("scripted");

if (form) {
  const text = form.elements.text;
  const file = form.elements.file;
  const count = document.getElementById("count");
  const button = form.querySelector("button");
  const limit = Number(count.dataset.limit);

  const say = () => {
    const words = (text.value.match(/\S+/gu) || []).length;
    const characters = [...text.value].length;
    const over = characters > limit;
    count.classList.toggle("over", over);
    if (file.files.length) count.textContent = `${file.files[0].name} will be examined instead of the text above.`;
    else if (over) count.textContent = `${characters.toLocaleString("en")} characters: ${(characters - limit).toLocaleString("en")} too many.`;
    else count.textContent = words ? `${words.toLocaleString("en")} ${words === 1 ? "word" : "words"}` : count.dataset.first;
  };
  count.dataset.first = count.textContent;
  text.addEventListener("input", say);
  file.addEventListener("change", say);
  say();

  // Typing goes on with the text, so a file chosen before is let go.
  text.addEventListener("input", () => { if (file.files.length) { file.value = ""; say(); } });

  for (const name of ["dragover", "dragenter"]) addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    form.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) form.classList.remove("dropping"); });
  addEventListener("drop", (event) => {
    form.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    file.files = event.dataTransfer.files;
    say();
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    button.textContent = "Examining …";
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      outcome.replaceChildren(...page.getElementById("outcome").childNodes);
      document.title = page.title;
      text.toggleAttribute("aria-invalid", !answer.ok);
      if (answer.ok) {
        text.value = page.getElementById("text").value;
        file.value = "";
        if (form.elements.manifest) form.elements.manifest.value = "";
        document.getElementById("ask").replaceWith(page.getElementById("ask"));
        document.querySelector(".ask .lead")?.remove();
      }
      say();
    } catch {
      const alert = document.createElement("p");
      alert.className = "alert";
      alert.id = "error";
      alert.tabIndex = -1;
      alert.setAttribute("role", "alert");
      alert.textContent = "The server did not answer; is it still running?";
      outcome.replaceChildren(alert);
    }
    button.disabled = false;
    button.textContent = "Examine";
    show();
  });
}

// The outcome is read first: it gets the focus, and its tokens and words their keys.
function show() {
  const first = document.getElementById("error") || document.getElementById("verdict");
  if (first) {
    first.focus({ preventScroll: true });
    outcome.scrollIntoView({ block: "start" });
  }
  for (const tokens of document.querySelectorAll(".tokens")) explain(tokens, tokens.nextElementSibling);
}

function explain(tokens, detail) {
  const all = [...tokens.querySelectorAll("span")];
  let now = null;
  for (const one of all) {
    one.dataset.says = one.title;
    one.removeAttribute("title"); // else the browser would show it as well
    one.tabIndex = -1;
  }
  if (all.length) all[0].tabIndex = 0;
  const point = (one) => {
    if (!one || one === now || one.dataset.says === undefined) return;
    if (now) { now.classList.remove("now"); now.tabIndex = -1; }
    now = one;
    one.classList.add("now");
    one.tabIndex = 0;
    const name = document.createElement("strong");
    name.textContent = `“${one.textContent.trim() || one.textContent}”`;
    detail.replaceChildren(name, ` · ${one.dataset.says}`);
  };
  tokens.addEventListener("pointerover", (event) => point(event.target.closest("span")));
  tokens.addEventListener("click", (event) => point(event.target.closest("span")));
  tokens.addEventListener("focusin", (event) => point(event.target.closest("span")));
  tokens.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + 10, ArrowUp: at - 10, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(to, all.length - 1))].focus();
  });
}

show();
