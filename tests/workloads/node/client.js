// Node's http client and fetch: client.js PORT. Each exchange is a line of JSON on standard output
// with what the client made of it. One connection for those of the agent, another for fetch.
const http = require("node:http");

const port = Number(process.argv[2]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const say = (record) => console.log(JSON.stringify(record));

function ask(options, pieces = [], trailers) {
  return new Promise((done, failed) => {
    const request = http.request({ port, host: "127.0.0.1", agent, ...options });
    request.on("error", failed);
    request.on("response", (response) => {
      let received = 0;
      response.on("data", (piece) => (received += piece.length));
      response.on("end", () => {
        const sent = pieces.reduce((sum, piece) => sum + piece.length, 0);
        const local = request.socket.localPort;
        say({ target: options.path, status: response.statusCode, received, sent, local });
        done();
      });
    });
    for (const piece of pieces) request.write(piece);
    if (trailers) request.addTrailers(trailers);
    request.end();
  });
}

function upgrade(path, text) {
  return new Promise((done, failed) => {
    const headers = { connection: "Upgrade", upgrade: "echo" };
    const request = http.get({ port, host: "127.0.0.1", path, headers, agent: false });
    request.on("error", failed);
    request.on("upgrade", (response, socket, head) => {
      let received = head.length;
      socket.on("data", (piece) => {
        received += piece.length;
        if (received >= text.length) socket.end();
      });
      socket.on("close", () => {
        say({ target: path, status: response.statusCode, received, sent: text.length });
        done();
      });
      socket.write(text);
    });
  });
}

async function main() {
  const method = "POST";
  await ask({ path: "/echo?m=0", method }, ["one", "two", "x".repeat(100000)]);
  await ask({ path: "/chunked/300?m=1" });
  await ask({ path: "/echo?m=2", method, headers: { trailer: "x-sum" } }, ["abc"], { "x-sum": "1" });
  await ask({ path: "/status/404?m=3", method: "DELETE" });
  await ask({ path: "/status/503?m=4", method: "HEAD" });
  const traceparent = "00-11111111111111111111111111111111-2222222222222222-01";
  await ask({ path: "/echo?m=5", headers: { traceparent } });
  const response = await fetch(`http://127.0.0.1:${port}/echo?m=6`, { method, body: "fetched" });
  const received = (await response.arrayBuffer()).byteLength;
  say({ target: "/echo?m=6", status: response.status, received, sent: 7 });
  const opaque = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
  await upgrade("/chat?m=7", opaque.repeat(20));
  agent.destroy();
  process.exit(0);
}

main();
