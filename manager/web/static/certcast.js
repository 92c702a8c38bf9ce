// What pages can do better with JavaScript. Everything but live progress works without it.
"use strict";

(function () {
  const pad = (n) => String(n).padStart(2, "0");

  // times in the viewer's own zone; UTC stays on hover
  function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.title = element.dateTime.replace("T", " ").replace("Z", " UTC");
      const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(moment);
      const zone = parts.find((part) => part.type === "timeZoneName").value;
      const day = moment.getFullYear() + "-" + pad(moment.getMonth() + 1) + "-" + pad(moment.getDate());
      element.textContent = element.classList.contains("day")
        ? day
        : day + " " + pad(moment.getHours()) + ":" + pad(moment.getMinutes()) + " " + zone;
    }
  }

  function copyable(root) {
    for (const button of root.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        await navigator.clipboard.writeText(source.value ?? source.textContent);
        const label = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = label; }, 1500);
      });
    }
  }

  // one box that ticks all of a list
  function tickable(root) {
    for (const all of root.querySelectorAll("input[data-tick]")) {
      const boxes = () => document.querySelectorAll("input[name='" + all.dataset.tick + "']");
      all.hidden = false;
      all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; count(); });
      const shown = document.getElementById("ticked");
      function count() {
        const ticked = [...boxes()].filter((box) => box.checked).length;
        if (shown) shown.textContent = ticked ? ticked + " selected" : "";
      }
      for (const box of boxes()) box.addEventListener("change", count);
      count();
    }
  }

  // a file dropped on a text area, or chosen beside it, is shown in it; what is not text is sent as it is
  function droppable(root) {
    for (const area of root.querySelectorAll("[data-drop]")) {
      const input = document.getElementById(area.dataset.drop);
      area.addEventListener("dragover", (event) => { event.preventDefault(); area.classList.add("over"); });
      area.addEventListener("dragleave", () => area.classList.remove("over"));
      area.addEventListener("drop", (event) => {
        area.classList.remove("over");
        if (!event.dataTransfer.files.length) return;
        event.preventDefault();
        const taken = new DataTransfer();
        for (const file of input.multiple ? event.dataTransfer.files : [event.dataTransfer.files[0]]) taken.items.add(file);
        input.files = taken.files;
        input.dispatchEvent(new Event("change", { bubbles: true }));
      });
    }
  }

  function enhance(root) {
    localise(root);
    copyable(root);
    tickable(root);
    droppable(root);
  }

  // a form under way says so, and is not sent twice; a download leaves its page as it is
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button && event.target.method === "post" && !("stays" in event.target.dataset)) button.setAttribute("aria-busy", "true");
  });
  // so does a link to a page that somebody else is asked for
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-waits]");
    if (link && !(event.ctrlKey || event.metaKey || event.shiftKey)) link.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });

  // ? opens the help, / goes to the search field; not while something is typed
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const search = document.querySelector("input[type='search']");
    if (event.key === "?" && document.querySelector(".about")) location.href = "/help";
    else if (event.key === "/" && search) { event.preventDefault(); search.focus(); }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("scripted");
    enhance(document);
    const problems = document.getElementById("problems");
    if (problems) problems.focus();
  });
  document.addEventListener("htmx:load", (event) => enhance(event.detail.elt));
})();
