// Plays the recorded run of a mix. The page is already a complete picture of stage 3; this only changes it.
// All sentences about a run are in its data.
(function () {
  const $ = (id) => document.getElementById(id);
  const explorer = document.querySelector(".explorer");
  const { steps, titles, runs } = JSON.parse($("runs").textContent);
  const byMix = new Map(runs.map((run) => [run.mix, run]));
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const switches = [...explorer.querySelectorAll("[data-layer]")];
  const stages = [...explorer.querySelectorAll("[data-stage]")];
  const stageMix = (n) => "1".repeat(n) + "0".repeat(switches.length - n);
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const marked = (text) => escape(text).replaceAll(run.id, `<span class="kept">${run.id}</span>`);

  let run, done = steps.length, playing = 0;

  const serviceOf = (step) => run.hops[step].service;
  const before = (step) => steps[steps.indexOf(step) - 1];
  const fromOf = (step) => (before(step) ? serviceOf(before(step)) : "client");
  const carriedInto = (step) => (before(step) ? run.hops[before(step)].verdict : "kept");

  function piece(step, map) {
    return map.querySelector(`.thread[data-from="${fromOf(step)}"][data-to="${serviceOf(step)}"][data-into="${step}"]`);
  }

  function draw() {
    const reached = steps.slice(0, done), over = done === steps.length;
    const told = over ? run.words.told : done === 0 ? run.words.start : run.words.steps[done - 1];
    const on = new Set(reached.map(serviceOf));
    for (const map of explorer.querySelectorAll(".map")) {
      for (const service of map.querySelectorAll(".service")) {
        service.dataset.state = on.has(service.dataset.service) ? "on" : "off";
      }
      for (const bead of map.querySelectorAll(".bead")) {
        const { hop, service } = bead.dataset;
        bead.dataset.verdict = reached.includes(hop) && serviceOf(hop) === service ? run.hops[hop].verdict : "none";
      }
      for (const thread of map.querySelectorAll(".thread")) thread.dataset.verdict = "none";
      for (const step of reached) piece(step, map).dataset.verdict = carriedInto(step);
      map.setAttribute("aria-label", `The nine services and one request. ${told}`);
    }
    $("told").textContent = told;
    const until = over ? Infinity : done === 0 ? -1 : run.hops[steps[done - 1]].ms;
    [...$("log").querySelector("pre").children].forEach((row, n) => row.classList.toggle("later", run.lines[n].ms > until));
    for (const id of ["end", "answer"]) $(id).style.visibility = over ? "" : "hidden";
    // Not `disabled`: a button that disables itself would lose the keyboard's focus.
    for (const id of ["back", "restart"]) $(id).ariaDisabled = done === 0;
    $("step").ariaDisabled = over;
  }

  function drawRun() {
    const width = Math.max(...run.lines.map((line) => line.service.length));
    $("log").querySelector("pre").innerHTML = run.lines.map((line) =>
      `<span class="row">${marked(`${line.shown.padStart(9)}  ${line.service.padEnd(width)}  ${line.message}  `)}` +
      `<span class="fields">${marked(line.fields)}</span>\n</span>`).join("");
    $("message-summary").textContent = run.words.message;
    $("message-body").innerHTML = marked(JSON.stringify(run.message, null, 2));
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

  function choose(mix) {
    run = byMix.get(mix);
    stop();
    done = steps.length;
    switches.forEach((box, n) => (box.checked = mix[n] === "1"));
    stages.forEach((button, n) => (button.ariaPressed = mix === stageMix(n)));
    $("stage-name").textContent = run.words.name || titles[stages.findIndex((_, n) => mix === stageMix(n))];
    $("share").href = `?mix=${mix}`;
    $("share").textContent = "Copy link";
    history.replaceState(null, "", `?mix=${mix}${location.hash}`);
    drawRun();
    draw();
  }

  function stop() {
    playing += 1;
    $("play").textContent = "Play";
    for (const parcel of explorer.querySelectorAll(".parcel")) parcel.setAttribute("hidden", "");
  }

  async function travel(step, mine) {
    if (still.matches) return new Promise((resolve) => setTimeout(resolve, 400));
    const map = [...explorer.querySelectorAll(".map")].find((one) => one.getBoundingClientRect().width);
    const path = piece(step, map), parcel = map.querySelector(".parcel");
    const length = path.getTotalLength(), began = performance.now(), time = 250 + length * 1.2;
    parcel.dataset.verdict = carriedInto(step);
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
    done = 0;
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
    done = Math.min(steps.length, Math.max(0, step));
    draw();
  }

  for (const box of switches) {
    box.addEventListener("change", () => {
      choose(switches.map((one) => (one.checked ? "1" : "0")).join(""));
      play();
    });
  }
  stages.forEach((button, n) => button.addEventListener("click", () => choose(stageMix(n))));
  $("play").addEventListener("click", () => ($("play").textContent === "Play" ? void play() : goTo(steps.length)));
  $("restart").addEventListener("click", () => goTo(0));
  $("back").addEventListener("click", () => goTo(done - 1));
  $("step").addEventListener("click", () => goTo(done + 1));
  $("share").addEventListener("click", (event) => {
    if (!navigator.clipboard) return; // without a clipboard it is a plain link to this mix
    event.preventDefault();
    navigator.clipboard.writeText($("share").href).then(
      () => ($("share").textContent = "Copied"), () => (location.href = $("share").href));
  });
  for (const redis of explorer.querySelectorAll('.service[data-service="redis-broker"], .bead[data-hop="message"]')) {
    redis.addEventListener("click", () => { $("message").open = true; $("message").scrollIntoView(); });
  }

  const wanted = new URLSearchParams(location.search).get("mix");
  choose(byMix.has(wanted) ? wanted : stageMix(3));
  explorer.querySelector(".controls").hidden = false;
})();
