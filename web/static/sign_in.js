// Signing in. A token may come behind the # of an address: browsers keep that part to themselves.
"use strict";

async function signIn(token) {
  try {
    const { ok, said } = await ask("/session", { token });
    if (ok) return location.assign("/");
    byId("problem").textContent = said.error;
  } catch {
    byId("problem").textContent = "The server does not answer. Try again in a moment.";
  }
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
});
const brought = location.hash.match(/^#token=([\w-]+)$/);
if (brought) {
  history.replaceState(null, "", "/");
  signIn(brought[1]);
}
