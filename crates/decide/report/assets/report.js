"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  document.documentElement.classList.add("js");

  // Tables: filter and sort.
  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);
  const filter = (input, items, hits, noun) => {
    input.addEventListener("input", () => {
      const wanted = words(input.value);
      let shown = 0;
      for (const item of items) {
        const text = item.textContent.toLowerCase();
        item.hidden = !wanted.every((word) => text.includes(word));
        shown += item.hidden ? 0 : 1;
      }
      hits.textContent = wanted.length ? `${shown} of ${items.length} ${noun}` : `${items.length} ${noun}`;
    });
  };
  for (const input of all("input[data-table]")) {
    const table = document.getElementById(input.dataset.table);
    filter(input, all("tbody tr", table), one(".hits", input.closest(".tools")), "rows");
  }
  for (const input of all("input[data-cards]")) {
    const box = document.getElementById(input.dataset.cards);
    const hits = one(".hits", input.closest(".tools"));
    filter(input, all(".rule", box), hits, "rules");
    input.addEventListener("input", () => {
      for (const scope of all(".scope", box)) scope.hidden = !one(".rule:not([hidden])", scope);
    });
  }
  for (const button of all(".sort")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const column = [...head.parentElement.children].indexOf(head);
      const numeric = head.classList.contains("n");
      const before = head.getAttribute("aria-sort");
      const up = before ? before === "descending" : !numeric;
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = one("tbody", head.closest("table"));
      const key = (row) => row.children[column].dataset.k ?? row.children[column].textContent;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        const difference = Number(x) - Number(y);
        return Number.isNaN(difference) ? x.localeCompare(y, "en", { numeric: true }) : difference;
      };
      const rows = [...body.children].sort((a, b) => (up ? compare(a, b) : compare(b, a)));
      body.append(...rows);
    });
  }

  // The panel of details, built from the page's data; text is only ever set as text.
  const panel = one("#panel");
  const body = one("#panel-body");
  const details = panel && JSON.parse(one("#details").textContent);
  const count = (n) => n.toLocaleString("en-US");
  const some = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
  const make = (tag, name, ...parts) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...parts);
    return element;
  };
  const sample = (verdict) => make("span", details.verdicts[verdict][0], make("i"));
  const rest = (shown, all) => (all > shown ? [make("li", "", `+${count(all - shown)} more`)] : []);
  const services = (lines, all) =>
    lines.slice(0, 2).map((line) => line[0]).join(", ") + (all > 2 ? ` +${all - 2}` : "");
  const neighbours = (title, bundles, other) => {
    if (!bundles.length) return [];
    const rows = bundles
      .sort((a, b) => b[2] - a[2] || b[3] - a[3])
      .map((bundle) => {
        const name = make("span", "who", details.groups[bundle[other]][0]);
        const code = make("code", "", services(bundle[5], bundle[6]));
        return make("li", "", sample(bundle[2]), name, code, make("span", "num", count(bundle[3])));
      });
    return [make("h4", "", title), make("ul", "near", ...rows.slice(0, 40), ...rest(40, rows.length))];
  };
  const aboutGroup = (at) => {
    const [name, kind, flows, confidence, members, all] = details.groups[at];
    const about = [kind, some(flows, "flow"), ...(confidence ? [`confidence ${confidence}`] : [])].join(" \u00b7 ");
    const chips = [...members.map((member) => make("li", "", member)), ...rest(members.length, all)];
    const pick = (test) => details.bundles.filter(test);
    return [
      make("h3", "", name),
      make("p", "sub", about),
      ...(all ? [make("h4", "", some(all, "member")), make("ul", "chips", ...chips)] : []),
      ...neighbours("Asked by", pick((b) => b[1] === at && b[0] !== at), 0),
      ...neighbours("Asks", pick((b) => b[0] === at && b[1] !== at), 1),
      ...neighbours("Within", pick((b) => b[0] === at && b[1] === at), 1),
    ];
  };
  const aboutBundle = (at) => {
    const [from, to, verdict, flows, bytes, lines, all] = details.bundles[at];
    const [style, word] = details.verdicts[verdict];
    const rows = lines.flatMap(([service, n, clients, servers, span, rules]) => {
      const use = clients ? `${some(clients, "client")} to ${some(servers, "server")} over ${span}` : "never seen in use";
      const row = make("li", "", make("code", "", service), make("span", "who", use), make("span", "num", count(n)));
      return rules.length ? [row, make("li", "by", `by ${rules.join(", ")}`)] : [row];
    });
    return [
      make("h3", "", details.groups[from][0], make("span", "to", " \u2192 "), details.groups[to][0]),
      make("p", "sub", make("span", `tag ${style}`, make("i"), word), flows ? ` ${some(flows, "flow")} \u00b7 ${bytes}` : ""),
      make("ul", "near", ...rows, ...rest(lines.length, all)),
    ];
  };
  const unpick = () => {
    for (const picked of all(".picked")) picked.classList.remove("picked");
  };
  let opener = null;
  const close = () => {
    if (!panel || panel.hidden) return;
    panel.hidden = true;
    unpick();
    opener?.focus({ preventScroll: true });
    opener = null;
  };
  const open = (parts, from, at = from) => {
    body.replaceChildren(...parts);
    unpick();
    from?.classList.add("picked");
    opener = from;
    const place = at?.getBoundingClientRect();
    panel.classList.toggle("left", place && place.left + place.width / 2 > innerWidth / 2);
    panel.hidden = false;
    panel.scrollTop = 0;
  };
  one("#panel-close")?.addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "/" && !/input|textarea/i.test(document.activeElement.tagName)) {
      const near = all("input[type=search]").find((input) => input.getBoundingClientRect().bottom > 60);
      if (near) {
        event.preventDefault();
        near.focus();
      }
    }
  });

  // The map: highlight neighbours, walk by keyboard.
  const map = one("svg.map");
  if (map) {
    const cards = all(".card", map);
    const lines = all(".ln, .lb", map);
    const byGroup = new Map(cards.map((card) => [card.dataset.g, card]));
    const heat = (groups, related) => {
      map.classList.toggle("hot", groups !== null);
      for (const line of lines) line.classList.toggle("on", related(line));
      for (const card of cards) card.classList.toggle("on", groups !== null && groups.has(card.dataset.g));
    };
    const cool = () => heat(null, () => false);
    const heatCard = (card) => {
      const group = card.dataset.g;
      const touches = (line) => line.dataset.f === group || line.dataset.t === group;
      const visible = (line) => !(line.classList.contains("v-unused") && !one("#on-v-unused")?.checked);
      const near = lines.filter((line) => touches(line) && visible(line));
      heat(new Set([group, ...near.flatMap((line) => [line.dataset.f, line.dataset.t])]), (line) => near.includes(line));
    };
    const heatLine = (line) =>
      heat(new Set([line.dataset.f, line.dataset.t]), (other) => other.dataset.b === line.dataset.b);
    const focusCard = (card) => {
      for (const other of cards) other.tabIndex = other === card ? 0 : -1;
      card.focus();
    };
    const flows = (line) => details.bundles[Number(line.dataset.b)][3];
    const folded = (line) => (line.parentElement.classList.contains("folded") ? 1 : 0);
    const strongest = (card, from, to) => {
      const next = lines
        .filter((line) => line.classList.contains("ln") && line.dataset[from] === card.dataset.g)
        .sort((a, b) => folded(a) - folded(b) || flows(b) - flows(a))
        .map((line) => byGroup.get(line.dataset[to]));
      return next.find((other) => other && other !== card);
    };
    const beside = (card, step) => {
      const column = cards.filter((other) => other.dataset.tier === card.dataset.tier);
      const top = (other) => other.getBoundingClientRect().top;
      column.sort((a, b) => top(a) - top(b));
      return column[column.indexOf(card) + step];
    };
    const steps = {
      ArrowRight: (card) => strongest(card, "f", "t"),
      ArrowLeft: (card) => strongest(card, "t", "f"),
      ArrowDown: (card) => beside(card, 1),
      ArrowUp: (card) => beside(card, -1),
    };
    cards.forEach((card, at) => {
      card.tabIndex = at === 0 ? 0 : -1;
      const show = () => open(aboutGroup(Number(card.dataset.g)), card);
      card.addEventListener("mouseenter", () => heatCard(card));
      card.addEventListener("mouseleave", cool);
      card.addEventListener("focus", () => heatCard(card));
      card.addEventListener("blur", cool);
      card.addEventListener("click", show);
      card.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          show();
        }
        const next = steps[event.key]?.(card);
        if (steps[event.key]) event.preventDefault();
        if (next) focusCard(next);
      });
    });
    for (const line of all(".ln", map)) {
      line.addEventListener("mouseenter", () => heatLine(line));
      line.addEventListener("mouseleave", cool);
      line.addEventListener("click", (event) => {
        event.stopPropagation();
        open(aboutBundle(Number(line.dataset.b)), null, line);
      });
    }
  }

  // The matrix: light up row and column, open cells.
  const matrix = one("table.matrix");
  if (matrix) {
    const light = (column) => {
      for (const lit of all(".lit", matrix)) lit.classList.remove("lit");
      if (column > 0) for (const row of matrix.rows) row.cells[column].classList.add("lit");
    };
    const over = (event) => light(event.target.closest("td, th")?.cellIndex);
    matrix.addEventListener("mouseover", over);
    matrix.addEventListener("focusin", over);
    matrix.addEventListener("mouseleave", () => light());
    const cells = all("td[data-b]", matrix);
    const bundles = (cell) => {
      const first = Number(cell.dataset.b);
      const [from, to] = details.bundles[first];
      const same = (bundle) => bundle[0] === from && bundle[1] === to;
      return details.bundles.flatMap((bundle, at) => (same(bundle) ? [at] : []));
    };
    const go = (cell) => {
      for (const other of cells) other.tabIndex = other === cell ? 0 : -1;
      cell.focus();
    };
    const next = (cell, rows, columns) => {
      let [row, column] = [cell.parentElement.rowIndex + rows, cell.cellIndex + columns];
      while (matrix.rows[row]?.cells[column]) {
        const found = matrix.rows[row].cells[column];
        if (found.dataset.b) return found;
        [row, column] = [row + rows, column + columns];
      }
      return null;
    };
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    cells.forEach((cell, at) => {
      cell.tabIndex = at === 0 ? 0 : -1;
      const show = () => open(bundles(cell).flatMap(aboutBundle), cell);
      cell.addEventListener("click", show);
      cell.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          show();
        }
        if (!moves[event.key]) return;
        event.preventDefault();
        const found = next(cell, ...moves[event.key]);
        if (found) go(found);
      });
    });
  }

  // Copy buttons.
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const code = one("code", button.parentElement);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 1600);
    });
  }

  // Navigation says where one is; a link to a rule opens it; paper gets everything.
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const section of all("main > section")) watch.observe(section);
  const reveal = () => {
    const target = location.hash.startsWith("#rule-") && document.getElementById(location.hash.slice(1));
    if (!target) return;
    target.closest(".scope").open = true;
    one(".more", target).open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  addEventListener("beforeprint", () => {
    for (const details of all("details")) details.open = true;
  });
})();
