/** Requests to the server; its errors become Errors with its words. */

async function answered(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // an answer without JSON: the status says enough
  }
  if (!response.ok) throw new Error(body.error || `the server answered ${response.status}`);
  return body;
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<object>} */
export async function get(path, signal) {
  return answered(await fetch(path, { signal }));
}

/** @param {string} path @param {object} body @param {AbortSignal} [signal] @returns {Promise<object>} */
export async function post(path, body, signal) {
  return answered(await fetch(path, { method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

/** @param {File[]} files @param {Object<string, string>} fields @returns {Promise<object>} */
export async function send(files, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) form.append(name, value);
  for (const file of files) form.append("files", file, file.name);
  return answered(await fetch("/api/records", { method: "POST", body: form }));
}

/** @param {string} path @returns {Promise<object>} */
export async function remove(path) {
  return answered(await fetch(path, { method: "DELETE" }));
}
