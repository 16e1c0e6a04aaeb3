// The service: its jobs API, and its errors as the one line that they are.

export class ServiceError extends Error {
  constructor(status, kind, detail) {
    super(detail);
    this.status = status;
    this.kind = kind;
  }
}

async function ask(method, path, body) {
  const told = body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, { method, credentials: "same-origin", ...told });
  } catch {
    throw new ServiceError(0, "Unreachable", "the service does not answer; is `controlnet serve` running still?");
  }
  if (answer.ok) return answer;
  const view = await answer.json().catch(() => ({}));
  const retry = answer.headers.get("retry-after");
  const again = retry ? ` (again in ${retry} s)` : "";
  throw new ServiceError(answer.status, view.error ?? "HTTP", (view.detail ?? answer.statusText) + again);
}

const json = async (method, path, body) => (await ask(method, path, body)).json();

export const session = () => json("GET", "/v1/session");
export const enter = (token) => json("POST", "/v1/session", { token });
export const catalog = () => json("GET", "/v1/catalog");
export const renderPose = (pose) => json("POST", "/controlnet/render_openpose_json", [pose]);
export const blob = async (path) => (await ask("GET", path)).blob();

const OVER = ["done", "failed", "cancelled"];
const live = new Set();

// A page that is closed lets go of what it asked for.
addEventListener("pagehide", () => {
  for (const id of live) fetch(`/v1/jobs/${id}`, { method: "DELETE", keepalive: true });
});

/** Submit a job and follow it: `told` gets its views, `preview` its pictures on the way; returns the last view. */
export async function run(body, { told = () => {}, preview = () => {}, signal } = {}) {
  const job = await json("POST", "/v1/jobs", body);
  live.add(job.id);
  const cancel = () => json("DELETE", `/v1/jobs/${job.id}`).catch(() => {});
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const last = await followed(job, told, preview);
    if (last.state === "failed") throw new ServiceError(500, last.error.error, last.error.detail);
    return last;
  } finally {
    live.delete(job.id);
    signal?.removeEventListener("abort", cancel);
  }
}

function followed(job, told, preview) {
  told(job);
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/v1/jobs/${job.id}/events`);
    events.addEventListener("preview", (event) => preview(JSON.parse(event.data).image));
    events.addEventListener("job", (event) => {
      const view = JSON.parse(event.data);
      told(view);
      if (!OVER.includes(view.state)) return;
      events.close();
      resolve(view);
    });
    // The browser connects anew by itself; where it has given up, the service is gone or forgot the job.
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return;
      reject(new ServiceError(0, "Unreachable", "the connection to the service was lost while it worked"));
    });
  });
}

/** The control map of a picture (a data URI), as a blob. */
export async function annotated(condition, image, signal) {
  const job = await run({ kind: "annotate", condition, images: [image] }, { signal });
  if (job.state !== "done") throw new ServiceError(0, "Cancelled", "cancelled");
  return blob(job.maps[0]);
}
