// Plays the recorded request of a mix, and on a stage two requests at once. Nothing is shown of how it ends before a
// guess, or a press of Play or Step. All sentences about a run are in its data.
(function () {
  const $ = (id) => document.getElementById(id);
  const explorer = document.querySelector(".explorer");
  const { steps, hops, titles, runs, code, two } = JSON.parse($("runs").textContent);
  const byMix = new Map(runs.map((run) => [run.mix, run]));
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const switches = [...explorer.querySelectorAll("[data-layer]")];
  const stages = [...explorer.querySelectorAll("[data-stage]")];
  const guesses = [...explorer.querySelectorAll("[data-guess]")];
  const maps = [...explorer.querySelectorAll(".map")];
  const stageMix = (n) => "1".repeat(n) + "0".repeat(switches.length - n);
  const stageOf = (mix) => stages.findIndex((_, n) => mix === stageMix(n));
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const marked = (text) => escape(text).replaceAll(run.id, `<span class="kept">${run.id}</span>`);
  const layerOf = (step) => (step === "message" ? "queue-service" : step);
  const WHOSE = ["first", "second"], NAMES = ["Ann", "Ben"];

  let run, done = 0, playing = 0, guess = null, asked = true, layer = null, crossing = null;

  const before = (step) => steps[steps.indexOf(step) - 1];
  const serviceOf = (step) => run.hops[step].service;
  const carriedInto = (step) => (before(step) ? run.hops[before(step)].verdict : "kept");

  function piece(map, step, service, from) {
    return map.querySelector(`.thread[data-from="${from}"][data-to="${service}"][data-into="${step}"]`);
  }
  const beadAt = (map, step, service) => map.querySelector(`.bead[data-hop="${step}"][data-service="${service}"]`);

  // --- drawing ----------------------------------------------------------------------------------------------------------

  function clear(map) {
    for (const copy of map.querySelectorAll(".copy")) copy.remove();
    for (const thread of map.querySelectorAll(".thread")) thread.dataset.verdict = "none";
    for (const bead of map.querySelectorAll(".bead")) bead.dataset.verdict = "none";
  }

  function drawOne(map, reached) {
    for (const step of reached) {
      const from = before(step) ? serviceOf(before(step)) : "client";
      piece(map, step, serviceOf(step), from).dataset.verdict = carriedInto(step);
      beadAt(map, step, serviceOf(step)).dataset.verdict = run.hops[step].verdict;
    }
  }

  // Two requests may take the same piece, so each gets a copy of its own, a little to the side of the other's.
  function drawTwo(map, reached) {
    crossing.ways.forEach((way, index) => {
      const aside = index ? 5 : -5;
      let from = "client", owner = index; // the client knows who it is
      for (const step of reached) {
        const [service, whose] = way[step];
        const thread = piece(map, step, service, from).cloneNode();
        thread.classList.add("copy");
        thread.dataset.verdict = owner === null ? "nobody" : WHOSE[owner];
        thread.setAttribute("transform", `translate(${aside} ${aside})`);
        map.insertBefore(thread, map.querySelector(".ball"));
        const bead = document.createElementNS("http://www.w3.org/2000/svg", "path");
        const place = beadAt(map, step, service).getAttribute("transform");
        bead.setAttribute("class", `copy whose ${whose === null ? "nobody" : WHOSE[whose]}`);
        bead.setAttribute("transform", `${place} translate(${aside * 1.8} ${aside})`);
        bead.setAttribute("d", whose === 1 ? "M-7-7H7V7H-7Z" : "M-8 0A8 8 0 1 1 8 0A8 8 0 1 1-8 0Z");
        map.append(bead);
        [from, owner] = [service, whose];
      }
    });
  }

  function draw() {
    const reached = steps.slice(0, done), over = done === steps.length, step = steps[done - 1];
    const services = reached.flatMap((one) => (crossing ? crossing.ways.map((way) => way[one][0]) : [serviceOf(one)]));
    for (const map of maps) {
      clear(map);
      for (const service of map.querySelectorAll(".service")) {
        service.dataset.state = services.includes(service.dataset.service) ? "on" : "off";
      }
      (crossing ? drawTwo : drawOne)(map, reached);
    }
    const told = told_(over, step);
    for (const map of maps) map.setAttribute("aria-label", `The nine services and ${crossing ? "two requests" : "one request"}. ${told}`);
    $("told").textContent = told;
    drawLine(step);
    drawCode(step ? layerOf(step) : layer);
    $("after").hidden = !over || crossing !== null;
    $("end").hidden = !over || crossing !== null;
    $("ask").style.visibility = crossing === null ? "" : "hidden"; // its place stays, so that nothing moves
    guesses.forEach((button) => (button.ariaPressed = button.dataset.guess === guess));
    $("legend-one").hidden = crossing !== null;
    $("legend-two").hidden = crossing === null;
    // Not `disabled`: a button that disables itself would lose the keyboard's focus.
    for (const id of ["back", "restart"]) $(id).ariaDisabled = done === 0;
    $("step").ariaDisabled = over;
    follow(step);
  }

  function told_(over, step) {
    if (crossing) {
      if (over) return crossing.told;
      return step ? crossing.ways.map((way) => `${whoseIs(way[step][1])}: ${way[step][2]}`).join(" · ") : "Ann and Ben send a request each, at the same time. Which lines will be whose?";
    }
    if (!over) return step ? run.words.steps[done - 1] : asked ? "Guess, or press Play." : run.words.start;
    return guess === null ? run.words.told : `${rightOrNot()} ${run.words.told}`;
  }

  const whoseIs = (owner) => (owner === null ? "anyone's" : `${NAMES[owner]}'s`);

  function rightOrNot() {
    const lost = hops.find((hop) => run.hops[hop].verdict !== "kept") ?? "";
    const said = guess === "" ? "nowhere" : guess;
    return lost === guess ? `You said ${said}. Right.` : `You said ${said}. It is ${lost === "" ? "nowhere" : lost}.`;
  }

  function drawLine(step) {
    const empty = "Press Play or Step: the line that each hop writes is shown here.";
    if (!step) $("line").textContent = empty;
    else if (crossing) {
      $("line").innerHTML = crossing.ways.map((way) => {
        const [, owner, text] = way[step];
        return `<span class="${owner === null ? "nobody" : WHOSE[owner]}">${whoseIs(owner)}</span>  ${escape(text)}`;
      }).join("\n");
    } else if (step === "message") $("line").innerHTML = marked(run.words.steps[done - 1]);
    else {
      const line = run.lines.find((one) => one.hop === step);
      $("line").innerHTML = marked(`${line.shown.trim()}  ${line.service}  ${line.message}\n${line.fields}`);
    }
  }

  function drawCode(hop) {
    layer = hop;
    $("code-file").hidden = hop === null;
    if (hop === null) {
      $("code").textContent = "Press Play or Step, or switch a layer: its few\nlines that matter are shown here.";
      return;
    }
    const fixed = run.mix[hops.indexOf(hop)] === "1", { file, url, lines } = code[hop][fixed ? 1 : 0];
    $("code-file").textContent = file.split("/").slice(2).join("/");
    $("code-file").href = url;
    const width = String(lines.at(-1)[0]).length;
    const margin = Math.min(...lines.map(([, text]) => text.search(/\S|$/)));
    let last = lines[0][0] - 1;
    $("code").innerHTML = lines.map(([number, text, changed]) => {
      const gap = number > last + 1 ? `${"⋮".padStart(width)}\n` : "";
      last = number;
      const kind = changed ? (fixed ? "fixed" : "losing") : "";
      return `${gap}<span class="code-line ${kind}">${String(number).padStart(width)} ${changed ? (fixed ? "+" : "-") : " "} ${escape(text.slice(margin))}</span>`;
    }).join("\n");
  }

  // On a small screen the map has a window of its own, which moves with the play; the page stays where it is.
  function follow(step) {
    const box = explorer.querySelector(".stage-map");
    if (box.scrollHeight <= box.clientHeight + 4) return;
    const behavior = still.matches ? "auto" : "smooth";
    if (step && box.getBoundingClientRect().bottom > innerHeight) {
      explorer.querySelector(".buttons").scrollIntoView({ block: "start", behavior });
    }
    const map = maps.find((one) => one.getBoundingClientRect().width);
    const service = step ? (crossing ? crossing.ways[0][step][0] : serviceOf(step)) : null;
    const bead = step ? beadAt(map, step, service) : null;
    const top = bead ? bead.getBoundingClientRect().top - map.getBoundingClientRect().top - box.clientHeight / 2 : 0;
    box.scrollTo({ top, behavior });
  }

  function drawRun() {
    const width = Math.max(...run.lines.map((line) => line.service.length));
    $("log").querySelector("pre").innerHTML = run.lines.map((line) =>
      `<span class="row">${marked(`${line.shown.padStart(9)}  ${line.service.padEnd(width)}  ${line.message}  `)}` +
      `<span class="fields">${marked(line.fields)}</span>\n</span>`).join("");
    $("message-summary").textContent = run.words.message;
    $("message").open = false;
    $("decoy").textContent = `Its property correlation_id is Celery's own, and has the task's ID: ${run.words.decoy}.`;
    $("message-body").innerHTML = marked(JSON.stringify(run.message, null, 2))
      .replace(/(&#34;correlation_id&#34;: )(&#34;[0-9a-f-]{36}&#34;)/, '$1<span class="decoy">$2</span>');
    $("answer").textContent = run.words.answer;
    $("end").textContent = run.words.end;
    if (run.words.url) {
      const link = document.createElement("a"), code = document.createElement("code");
      link.href = run.words.url;
      code.textContent = run.words.place;
      link.append(code);
      $("end").append(link);
    }
  }

  // --- choosing ---------------------------------------------------------------------------------------------------------

  const address = () => `${location.href.split(/[?#]/)[0]}?mix=${run.mix}${crossing ? "&two=1" : ""}`;

  function choose(mix, both) {
    run = byMix.get(mix);
    const stage = stageOf(mix);
    crossing = both && stage >= 0 ? two[stage] : null;
    stop();
    [done, guess, asked] = [0, null, true];
    switches.forEach((box, n) => (box.checked = mix[n] === "1"));
    stages.forEach((button, n) => (button.ariaPressed = stage === n));
    $("stage-name").textContent = run.words.name || titles[stage];
    $("two").checked = crossing !== null;
    $("share").textContent = "Copy link";
    $("link").hidden = true;
    history.replaceState(null, "", address() + location.hash);
    drawRun();
    draw();
  }

  // --- playing ----------------------------------------------------------------------------------------------------------

  function stop() {
    playing += 1;
    $("play").textContent = "Play";
    for (const parcel of explorer.querySelectorAll(".parcel")) parcel.setAttribute("hidden", "");
  }

  async function travel(step, mine) {
    const speed = Number($("speed").value);
    if (still.matches) return new Promise((resolve) => setTimeout(resolve, 400 * speed));
    const map = maps.find((one) => one.getBoundingClientRect().width);
    const [service, from] = crossing
      ? [crossing.ways[0][step][0], before(step) ? crossing.ways[0][before(step)][0] : "client"]
      : [serviceOf(step), before(step) ? serviceOf(before(step)) : "client"];
    const path = piece(map, step, service, from), parcel = map.querySelector(".parcel");
    const length = path.getTotalLength(), began = performance.now(), time = (250 + length * 1.2) * speed;
    parcel.dataset.verdict = crossing ? "none" : carriedInto(step);
    parcel.removeAttribute("hidden");
    return new Promise((resolve) => {
      function frame(now) {
        const part = Math.min(1, Math.max(0, (now - began) / time)), point = path.getPointAtLength(part * length);
        parcel.setAttribute("transform", `translate(${point.x} ${point.y})`);
        part < 1 && mine === playing ? requestAnimationFrame(frame) : resolve();
      }
      requestAnimationFrame(frame);
    });
  }

  async function play() {
    stop();
    const mine = playing;
    $("play").textContent = "Stop";
    asked = false;
    if (done === steps.length) done = 0;
    draw();
    while (done < steps.length) {
      await travel(steps[done], mine);
      if (mine !== playing) return;
      done += 1;
      draw();
    }
    stop();
  }

  function goTo(step) {
    stop();
    if (step > 0) asked = false;
    done = Math.min(steps.length, Math.max(0, step));
    draw();
  }

  for (const box of switches) {
    box.addEventListener("change", () => {
      layer = hops[box.dataset.layer];
      choose(switches.map((one) => (one.checked ? "1" : "0")).join(""), crossing !== null);
    });
  }
  stages.forEach((button, n) => button.addEventListener("click", () => choose(stageMix(n), crossing !== null)));
  for (const button of guesses) {
    button.addEventListener("click", () => {
      guess = button.dataset.guess;
      done = 0;
      void play();
    });
  }
  $("two").addEventListener("change", () => {
    const stage = stageOf(run.mix);
    if (stage < 0) { // recorded for stages only: go to the one with the same number of first fixes
      const first = run.mix.indexOf("0");
      choose(stageMix(first < 0 ? switches.length : first), true);
    } else choose(run.mix, $("two").checked);
  });
  $("play").addEventListener("click", () => ($("play").textContent === "Play" ? void play() : goTo(done)));
  $("restart").addEventListener("click", () => goTo(0));
  $("back").addEventListener("click", () => goTo(done - 1));
  $("step").addEventListener("click", () => goTo(done + 1));
  $("share").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(address());
      $("share").textContent = "Copied";
    } catch { // no clipboard here: show the link, selected
      $("link-text").value = address();
      $("link").hidden = false;
      $("link-text").select();
    }
  });
  $("message").addEventListener("toggle", () => {
    if (!$("message").open) return;
    const body = $("message-body");
    // The last place: the header kwargsrepr has the ID too, as part of a text.
    const place = [...body.querySelectorAll(".kept")].at(-1) ?? body.querySelector(".decoy");
    place?.scrollIntoView({ block: "center" });
  });
  for (const redis of explorer.querySelectorAll('.service[data-service="redis-broker"], .bead[data-hop="message"]')) {
    redis.addEventListener("click", () => {
      if ($("after").hidden) return;
      $("message").open = true;
      $("message").scrollIntoView();
    });
  }

  const parameters = new URLSearchParams(location.search), wanted = parameters.get("mix");
  choose(byMix.has(wanted) ? wanted : stageMix(0), parameters.get("two") === "1");
  explorer.querySelector(".controls").hidden = false;
})();
