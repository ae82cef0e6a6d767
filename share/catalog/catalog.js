// Search as you type, filters of lists, and buttons that copy. Everything can be read without it.
// All texts come from what was built by anybody: they only ever become text, never markup.
(function () {
  "use strict";

  const FEW = 8;
  const index = { ready: false };
  const parts = new Map();

  // The files in search/ are scripts that call this: a page on a disk may load no data.
  window.tykkyCatalog = function (name, data) {
    if (name === "index") {
      Object.assign(index, data, { ready: true });
      const plain = (names) => names.map((each) => each.toLowerCase());
      index.plain = {
        stacks: index.stacks.map((s) => [s[0].toLowerCase(), (s[1] + " " + s[3]).toLowerCase()]),
        packages: plain(index.packages).map(dashed),
        commands: plain(index.commands),
      };
    } else {
      const rows = new Map(data[1].map((row) => [row[0], row.slice(1)]));
      parts.set(name, { modules: data[0], rows: rows });
    }
    if (update) update();
  };
  let update = null;

  // Names of packages are the same with dashes, dots and underscores.
  function dashed(name) {
    return name.replace(/[-_.]+/g, "-");
  }

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // How well a name fits, the less the better; -1 if it does not.
  function fit(name, wanted) {
    const at = name.indexOf(wanted);
    if (at < 0) return -1;
    if (name === wanted) return 0;
    if (at === 0) return 1;
    return /[a-z0-9]/.test(name[at - 1]) ? 3 : 2;
  }

  function ranked(names, wanted) {
    const found = [];
    for (let i = 0; i < names.length; i++) {
      const how = fit(names[i], wanted);
      if (how >= 0) found.push([how, names[i].length, i]);
    }
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).map((each) => each[2]);
  }

  function stacksFor(words, version) {
    const found = [];
    index.plain.stacks.forEach(function ([name, about], i) {
      let sum = 0;
      for (const word of words) {
        const how = fit(name, word);
        if (how < 0 && !about.includes(word)) return;
        sum += how < 0 ? 5 : how;
      }
      if (version && !index.stacks[i][2].some((each) => each.startsWith(version))) return;
      found.push([sum, name.length, i]);
    });
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).map((each) => each[2]);
  }

  function search(text) {
    const wanted = text.trim().toLowerCase();
    const [name, version] = wanted.split("/", 2);
    const words = (version === undefined ? wanted : name).split(/\s+/).filter(Boolean);
    const one = words.length === 1 && version === undefined;
    return {
      stacks: stacksFor(words, version),
      packages: one ? ranked(index.plain.packages, dashed(words[0])) : [],
      commands: one ? ranked(index.plain.commands, words[0]) : [],
    };
  }

  // Where a package or command is; null if that is not known yet, and then it is asked for.
  function whereIs(kind, number) {
    const starts = index[kind + "_at"];
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= number) low = middle; else high = middle - 1;
    }
    const part = kind + low;
    if (!parts.has(part)) {
      parts.set(part, null);
      document.head.append(make("script", { src: "search/" + part + ".js" }));
    }
    const found = parts.get(part), stacks = new Map();
    if (!found) return null;
    for (const [version, ...modules] of found.rows.get(index[kind][number]) || [])
      for (const each of modules) {
        const [stack, of] = found.modules[each].split("/", 2);
        if (!stacks.has(stack)) stacks.set(stack, []);
        stacks.get(stack).push([version, of]);
      }
    return [...stacks].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }

  function address(name, version) {
    const page = version ? "versions/" + encodeURIComponent(version) + ".html" : "index.html";
    return "stacks/" + encodeURIComponent(name) + "/" + page;
  }

  // A name with what was looked for marked in it.
  function marked(name, wanted) {
    const at = wanted ? name.toLowerCase().indexOf(wanted) : -1;
    if (at < 0) return [name];
    const end = at + wanted.length;
    return [name.slice(0, at), make("mark", {}, name.slice(at, end)), name.slice(end)];
  }

  function showStack(number, wanted) {
    const [name, about, versions] = index.stacks[number];
    const version = (wanted.split("/", 2)[1] || "").trim();
    const link = make("a", { href: address(name), class: "name" }, ...marked(name, wanted.split("/")[0]));
    const item = make("li", {}, link, make("p", {}, about));
    if (version) {
      const where = make("ul", { class: "where" });
      for (const each of versions.filter((v) => v.startsWith(version)).slice(0, FEW))
        where.append(make("li", {}, make("a", { href: address(name, each) }, name + "/" + each)));
      item.append(where);
    }
    return item;
  }

  function showThing(kind, number, wanted) {
    const item = make("li", {}, make("span", { class: "name" }, ...marked(index[kind][number], wanted)));
    const found = whereIs(kind, number);
    const where = make("ul", { class: "where" });
    for (const [stack, pairs] of (found || []).slice(0, FEW))
      for (const [version, of] of pairs) {
        const link = make("a", { href: address(stack, of) }, stack + "/" + of);
        where.append(make("li", {}, version ? version + " in " : "in ", link));
      }
    if (found && found.length > FEW)
      where.append(make("li", {}, "and in " + (found.length - FEW) + " more stacks"));
    if (!found) where.append(make("li", {}, "…"));
    item.append(where);
    return item;
  }

  function startSearch() {
    const box = document.getElementById("search");
    if (!box) return;
    const input = document.getElementById("q");
    const status = document.getElementById("found");
    const results = document.getElementById("results");
    const rest = ["stacks", "changes"].map((id) => document.getElementById(id)).filter(Boolean);
    const all = new Set();
    let last = "";
    box.hidden = false;

    update = function () {
      const text = input.value.trim(), wanted = text.toLowerCase();
      if (wanted !== last) all.clear();
      last = wanted;
      for (const section of rest) section.hidden = Boolean(wanted);
      if (!wanted || !index.ready) {
        results.replaceChildren();
        status.textContent = wanted ? "The search is loading …" : "";
        return;
      }
      const found = search(text), made = [], said = [];
      for (const [kind, one] of [["stacks", "stack"], ["packages", "package"], ["commands", "command"]]) {
        const numbers = found[kind], count = numbers.length;
        if (!count) continue;
        said.push(count + " " + (count === 1 ? one : kind));
        const id = "found-" + kind;
        const list = make("ul", { class: "results", "aria-labelledby": id });
        const many = all.has(kind) ? 500 : FEW;
        for (const number of numbers.slice(0, many))
          list.append(kind === "stacks" ? showStack(number, wanted) : showThing(kind, number, wanted));
        const title = make("h2", { id: id }, kind[0].toUpperCase() + kind.slice(1) + " ",
          make("span", { class: "count" }, String(count)));
        made.push(title, list);
        if (count > many && !all.has(kind)) {
          const more = make("button", { type: "button", class: "more" }, "Show more " + kind);
          more.addEventListener("click", function () {
            all.add(kind);
            update();
            const links = results.querySelectorAll("#" + id + " + ul > li:nth-child(n+" + (FEW + 1) + ") a");
            if (links.length) links[0].focus();
          });
          made.push(more);
        }
      }
      // What has the focus is made anew with all else, and has it afterwards.
      const links = [...results.querySelectorAll("a")], at = links.indexOf(document.activeElement);
      results.replaceChildren(...made);
      if (at >= 0) (results.querySelectorAll("a")[at] || input).focus();
      const what = said.join(", ") || "Nothing is found";
      if (status.textContent !== what) status.textContent = what;
    };

    input.addEventListener("input", function () {
      update();
      const hash = input.value.trim() ? "#q=" + encodeURIComponent(input.value.trim()) : "";
      try { history.replaceState(null, "", location.pathname + location.search + hash); } catch (e) { /* so be it */ }
    });
    function fromAddress() {
      if (location.hash.startsWith("#q=")) {
        try { input.value = decodeURIComponent(location.hash.slice(3)); } catch (e) { /* as somebody wrote it */ }
      }
      update();
    }
    window.addEventListener("hashchange", function () {
      if (!location.hash.startsWith("#q=")) input.value = "";
      fromAddress();
      const section = document.getElementById(location.hash.slice(1));
      if (section) section.scrollIntoView();
    });
    document.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const links = [...results.querySelectorAll("a")], at = links.indexOf(document.activeElement);
      const typing = document.activeElement === input;
      if (event.key === "/" && !typing) {
        input.focus();
        input.select();
      } else if (event.key === "Escape" && (typing || at >= 0)) {
        input.value = "";
        input.dispatchEvent(new Event("input"));
        input.focus();
      } else if (event.key === "ArrowDown" && (typing || at >= 0) && links.length) {
        links[Math.min(at + 1, links.length - 1)].focus();
      } else if (event.key === "ArrowUp" && at >= 0) {
        (links[at - 1] || input).focus();
      } else if (event.key === "Enter" && typing && links.length) {
        links[0].click();
      } else return;
      event.preventDefault();
    });
    fromAddress();
  }

  function startFilters() {
    for (const table of document.querySelectorAll("table[data-filter]")) {
      const rows = [...table.tBodies[0].rows];
      if (rows.length < 12) continue;
      const status = make("p", { class: "small", role: "status", "aria-live": "polite" });
      const input = make("input", { type: "search", class: "filter", id: "filter", autocomplete: "off", spellcheck: "false" });
      const label = make("label", { for: "filter", class: "filter-label" }, table.dataset.filter);
      input.addEventListener("input", function () {
        const wanted = input.value.trim().toLowerCase();
        let count = 0;
        for (const row of rows) {
          row.hidden = !row.textContent.toLowerCase().includes(wanted);
          count += row.hidden ? 0 : 1;
        }
        status.textContent = wanted ? count + " of " + rows.length : "";
      });
      table.parentElement.before(label, input, status);
    }
  }

  function startCopying() {
    for (const block of document.querySelectorAll(".code")) {
      const pre = block.querySelector("pre");
      const label = pre.getAttribute("aria-label") || "this";
      const button = make("button", { type: "button", "aria-label": "Copy: " + label }, "Copy");
      block.classList.add("copied");
      button.addEventListener("click", async function () {
        let done = true;
        try {
          await navigator.clipboard.writeText(pre.textContent);
        } catch (e) {  // it is there for secure origins only
          const range = document.createRange();
          range.selectNodeContents(pre);
          getSelection().removeAllRanges();
          getSelection().addRange(range);
          done = document.execCommand("copy");
        }
        button.textContent = done ? "Copied" : "Press Ctrl+C";
      });
      for (const left of ["blur", "mouseleave"])
        button.addEventListener(left, function () { button.textContent = "Copy"; });
      block.append(button);
    }
  }

  startSearch();
  startFilters();
  startCopying();
})();
