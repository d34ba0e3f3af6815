// The live tail: fetches the records that came since the newest one shown, every two seconds, and puts them on top.
"use strict";
(() => {
  const tail = document.getElementById("tail");
  const list = document.getElementById("records");
  const state = document.getElementById("state");
  if (!tail || !list || !state) return;
  const most = 300;
  let last = tail.dataset.last;
  const outcome = tail.dataset.outcome || "";

  const say = (text) => { if (state.textContent !== text) state.textContent = text; };

  const fetchNew = async () => {
    const query = new URLSearchParams({ after: last, outcome });
    const answer = await fetch("/live/records?" + query, { credentials: "same-origin", redirect: "error" });
    if (answer.status === 401) return "You were signed out. Load the page again to sign in.";
    if (!answer.ok) return "The audit database does not answer. Trying again.";
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.querySelector("div[data-last]");
    if (!part) return "The gateway's answer was not understood. Trying again.";
    last = part.dataset.last;
    list.prepend(...part.querySelectorAll("li.record"));
    while (list.children.length > most) list.lastElementChild.remove();
    return "New records appear here by themselves.";
  };

  const again = async () => {
    // A page nobody looks at asks for nothing.
    if (!document.hidden) {
      try { say(await fetchNew()); } catch { say("The gateway does not answer. Trying again."); }
    }
    setTimeout(again, 2000);
  };
  setTimeout(again, 2000);
})();
