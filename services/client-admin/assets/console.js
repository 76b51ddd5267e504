// Follows a tenant's progress without reloading. Without it, the page reloads itself.
const place = document.querySelector("[data-events]");
if (place && window.EventSource) {
  const source = new EventSource(place.dataset.events);
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    place.querySelector("[data-summary]").textContent = state.summary;
    const rows = state.conditions.map((one) => {
      const row = document.createElement("tr");
      [one.type, one.status, one.reason, one.message].forEach((text, at) => {
        const cell = row.appendChild(document.createElement(at ? "td" : "th"));
        if (!at) cell.scope = "row";
        // The reason leads to what to do, as on the page that came first.
        const reason = at === 2 && cell.appendChild(document.createElement("a"));
        if (reason) reason.href = `/client-admin/help#${text}`;
        (reason || cell).textContent = text;
      });
      return row;
    });
    place.querySelector("tbody").replaceChildren(...rows);
    const move = place.querySelector("[data-move]");
    move.textContent = state.move ? `Move: ${state.move.phase}. ${state.move.message ?? ""}` : "";
    if (state.settled) source.close();
  });
}
