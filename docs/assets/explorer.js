// Plays the recorded run of a mix. The page is already a complete picture of stage 3; this only changes it.
(function () {
  const $ = (id) => document.getElementById(id);
  const explorer = document.querySelector(".explorer");
  const { titles, runs } = JSON.parse($("runs").textContent);
  const byMix = new Map(runs.map((run) => [run.mix, run]));
  const beads = { kept: "●", replaced: "◆", missing: "○" };
  const steps = ["nginx", "routes", "task-service", "queue-service", "message", "worker"];
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const switches = [...document.querySelectorAll("[data-layer]")];
  const stageMix = (n) => "1".repeat(n) + "0".repeat(5 - n);
  const stageOf = (mix) => titles.findIndex((_, n) => stageMix(n) === mix);
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

  let run, done = steps.length, playing = 0;

  const hopOf = (step) => run.hops.find((hop) => hop.hop === (step === "message" ? "queue-service" : step));
  const serviceOf = (step) => (step === "message" ? "redis-broker" : hopOf(step).service);
  const fromOf = (step) => (step === "nginx" ? "client" : serviceOf(steps[steps.indexOf(step) - 1]));
  const carriedInto = (step) => (step === "nginx" ? "kept" : hopOf(steps[steps.indexOf(step) - 1]).verdict);

  function piece(step, map) {
    return map.querySelector(`.thread[data-from="${fromOf(step)}"][data-to="${serviceOf(step)}"][data-into="${step}"]`);
  }

  function draw() {
    const reached = steps.slice(0, done);
    const on = new Set(reached.map(serviceOf));
    for (const map of explorer.querySelectorAll(".map")) {
      for (const service of map.querySelectorAll(".service")) {
        service.dataset.state = on.has(service.dataset.service) ? "on" : "off";
      }
      for (const bead of map.querySelectorAll(".bead")) {
        const { hop, service } = bead.dataset;
        bead.dataset.verdict = reached.includes(hop) && serviceOf(hop) === service ? hopOf(hop).verdict : "none";
      }
      for (const thread of map.querySelectorAll(".thread")) thread.dataset.verdict = "none";
      for (const step of reached) piece(step, map).dataset.verdict = carriedInto(step);
      map.setAttribute("aria-label", `The nine services, and the way of one request through them. ${inWords()} ${trailEnds()}.`);
    }
    drawLog();
    tell();
    $("back").disabled = done === 0;
    $("step").disabled = done === steps.length;
  }

  function drawLog() {
    const until = done === steps.length ? Infinity : done === 0 ? -1 : hopOf(steps[done - 1]).ms;
    const width = Math.max(...run.lines.map((line) => line.service.length));
    const rows = run.lines.filter((line) => line.ms <= until).map((line) => {
      const fields = ["hop", "correlation_id", "request_id", "queue", "status_code", "duration_ms"]
        .filter((name) => name in line).map((name) => `${name}=${line[name] === null ? "–" : line[name]}`).join(" ");
      const text = `${line.shown.padStart(9)}  ${line.service.padEnd(width)}  ${line.message}  `;
      return (escape(text) + `<span class="fields">${escape(fields)}</span>`)
        .replaceAll(run.id, `<span class="kept">${run.id}</span>`);
    });
    $("log").querySelector("pre").innerHTML = rows.join("\n") || "Nothing yet.";
  }

  function inWords() {
    return run.hops.map((hop) => `${hop.hop} ${hop.verdict}`).join(", ") + ".";
  }

  function trailEnds() {
    return run.end ? `The trail ends in ${run.end.hop}` : "The trail reaches the worker";
  }

  function tell() {
    const name = stageOf(run.mix) < 0 ? `Mix ${run.mix}` : `Stage ${stageOf(run.mix)}`;
    if (done === 0) {
      $("told").textContent = `${name}: the client sends X-Request-ID: ${run.id}.`;
    } else if (done === steps.length) {
      $("told").textContent = `${name}: ${inWords()}`;
    } else {
      const step = steps[done - 1], hop = hopOf(step);
      const shown = hop.verdict === "kept" ? run.id : hop.id || "no ID";
      $("told").textContent = step === "message"
        ? `The message lies in Redis, on the queue “${run.message.queue}”, ${run.idAt ? `with the ID at ${run.idAt}` : "without the client's ID"}.`
        : `${beads[hop.verdict]} ${hop.hop} in ${hop.service}, after ${hop.shown_ms}: ${hop.verdict}, hands on ${shown}.`;
    }
    $("answer").textContent = `Answered 201 after ${run.ms} ms; value at risk $${run.result.toLocaleString("en", { minimumFractionDigits: 2 })}, calculated in ${Math.round(run.taskMs)} ms.`;
    for (const id of ["end", "answer"]) $(id).style.visibility = done < steps.length ? "hidden" : "";
    $("end").innerHTML = run.end
      ? `The trail ends in <strong>${run.end.hop}</strong>: <a href="${run.end.url}"><code>${run.end.file}:${run.end.line}</code></a>.`
      : `${trailEnds()}: one ID, five layers.`;
  }

  function drawMessage() {
    const place = run.message.kwargs.correlation_id;
    $("message-summary").textContent = run.idAt
      ? `The ID is at ${run.idAt}`
      : place ? `kwargs.correlation_id holds another ID, ${place}`
      : "The ID is nowhere in the message; its place would be kwargs.correlation_id";
    $("message-body").innerHTML = escape(JSON.stringify(run.message, null, 2))
      .replaceAll(run.id, `<span class="kept">${run.id}</span>`);
  }

  function choose(mix) {
    run = byMix.get(mix);
    done = steps.length;
    stop();
    switches.forEach((box, n) => (box.checked = mix[n] === "1"));
    const stage = stageOf(mix);
    const name = stage < 0 ? `none: mix ${mix}` : `${stage} · ${titles[stage]}`;
    if (stage >= 0) $("stage").value = stage;
    $("stage").classList.toggle("unused", stage < 0);
    $("stage").setAttribute("aria-valuetext", stage < 0 ? `no stage: mix ${mix}` : name);
    $("stage-name").textContent = name;
    $("share").href = `?mix=${mix}`;
    history.replaceState(null, "", `?mix=${mix}${location.hash}`);
    drawMessage();
    draw();
  }

  function stop() {
    playing += 1;
    $("play").textContent = "Play";
    for (const parcel of explorer.querySelectorAll(".parcel")) parcel.setAttribute("hidden", "");
  }

  async function travel(step, mine) {
    const map = [...explorer.querySelectorAll(".map")].find((one) => one.getBoundingClientRect().width);
    const path = piece(step, map), parcel = map.querySelector(".parcel");
    if (still.matches) return new Promise((resolve) => setTimeout(resolve, 400));
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

  switches.forEach((box) => box.addEventListener("change", () => {
    choose(switches.map((one) => (one.checked ? "1" : "0")).join(""));
    play();
  }));
  for (const used of ["input", "click"]) { // a click on the place where it stands is no input
    $("stage").addEventListener(used, () => choose(stageMix(Number($("stage").value))));
  }
  $("play").addEventListener("click", () => {
    if ($("play").textContent === "Play") return void play();
    stop();
    done = steps.length;
    draw();
  });
  $("step").addEventListener("click", () => { stop(); done += 1; draw(); });
  $("back").addEventListener("click", () => { stop(); done -= 1; draw(); });
  for (const redis of explorer.querySelectorAll('.service[data-service="redis-broker"], .bead[data-hop="message"]')) {
    redis.addEventListener("click", () => { $("message").open = true; $("message").scrollIntoView(); });
  }

  const wanted = new URLSearchParams(location.search).get("mix");
  choose(byMix.has(wanted) ? wanted : stageMix(3));
  explorer.querySelector(".controls").hidden = false;
})();
