// A server that calls on: relay.js BACKEND PORT. GET /in/WAY/N becomes GET /out/WAY/N at the port
// BACKEND, over a connection that belongs to the incoming one. WAY says what comes in between: now
// and awaited nothing but promises, immediate the next phase of the loop, timer 5 ms, file the thread
// pool; twice makes a second call when the first is over, /out/twice/N/2.
const fs = require("node:fs");
const http = require("node:http");

const backend = Number(process.argv[2]);

const call = (agent, path) =>
  new Promise((done, failed) => {
    const request = http.get({ host: "127.0.0.1", port: backend, path, agent }, (response) => {
      response.resume();
      response.on("end", done);
    });
    request.on("error", failed);
  });

const before = {
  now: null,
  twice: null,
  awaited: async () => {
    for (let i = 0; i < 5; i++) await null;
  },
  immediate: () => new Promise((done) => setImmediate(done)),
  timer: () => new Promise((done) => setTimeout(done, 5)),
  file: () => fs.promises.readFile(__filename),
};

http
  .createServer(async (request, response) => {
    const socket = request.socket;
    socket.agent ??= new http.Agent({ keepAlive: true, maxSockets: 1 });
    const [, , way, number] = request.url.split("/");
    const wait = before[way];
    if (wait) await wait();
    await call(socket.agent, `/out/${way}/${number}`);
    if (way === "twice") await call(socket.agent, `/out/twice/${number}/2`);
    response.end("ok");
  })
  .listen(Number(process.argv[3]), "127.0.0.1");
