// Signing in. A token may come behind the # of an address: browsers keep that part to themselves.
"use strict";

async function signIn(token) {
  try {
    const { ok, reply } = await ask("/session", { token });
    if (ok) return location.assign("/");
    byId("problem").textContent = reply.error;
  } catch {
    byId("problem").textContent = "The server does not answer. Try again in a moment.";
  }
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
});
const fragment = location.hash.match(/^#token=([\w-]+)$/);
if (fragment) {
  history.replaceState(null, "", "/");
  signIn(fragment[1]);
}
