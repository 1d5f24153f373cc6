"use strict";
(() => {
  const lost = document.getElementById("lost");
  const update = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(answer.statusText);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Only what has changed, and nothing that can have the focus.
      for (const part of document.querySelectorAll("[data-live]")) {
        const other = next.getElementById(part.id);
        if (other && !part.isEqualNode(other)) part.replaceChildren(...other.childNodes);
      }
      document.documentElement.dataset.state = next.documentElement.dataset.state;
      document.title = next.title;
      lost.hidden = true;
    } catch {
      if (lost.hidden) document.title = "No answer: " + document.title;
      lost.hidden = false;
    }
    setTimeout(update, document.hidden ? 10000 : 2000);
  };
  setTimeout(update, 2000);
})();
