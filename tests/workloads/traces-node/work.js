// What the middle services in Node have in common; see tests/workloads/traces-go/work for what they do.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const timers = require('node:timers/promises');

const LATE = 5;
const [host, port] = process.env.LEAF.split(':');
const truth = fs.openSync(process.env.TRUTH, 'a');

/** The headers of a call, and its path, which is written down as the truth. */
function asked(request, number) {
  const to = `${request.marker}.${number}`;
  fs.writeSync(truth, `${request.marker} ${to}\n`);
  const headers = {};
  if (request.passOn === 'forwarded') {
    headers.traceparent = request.traceparent;
  } else if (request.passOn === 'fresh') {
    const [version, trace, , flags] = request.traceparent.split('-');
    headers.traceparent = [version, trace, crypto.randomBytes(8).toString('hex'), flags].join('-');
  }
  return { path: `/leaf/${to}`, headers };
}

const agent = new http.Agent({ keepAlive: true });

/** A call by `node:http`. */
function byAgent(request, number) {
  const { path, headers } = asked(request, number);
  return new Promise((resolve, reject) => {
    const call = http.get({ host, port, path, headers, agent }, (response) => {
      response.resume();
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(path))));
    });
    call.on('error', reject);
  });
}

/** A call by `fetch`. */
async function byFetch(request, number) {
  const { path, headers } = asked(request, number);
  const response = await fetch(`http://${host}:${port}${path}`, { headers });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(path);
}

async function work(request, ask) {
  switch (request.pattern) {
    case 'one':
      return ask(request, 1);
    case 'seq':
      await ask(request, 1);
      return ask(request, 2);
    case 'par':
      return Promise.all([ask(request, 1), ask(request, 2)]);
    case 'late':
      await timers.setTimeout(LATE);
      return ask(request, 1);
    case 'pool':
      await fs.promises.readFile(__filename);
      return ask(request, 1);
    case 'after':
      return undefined;
    default:
      throw new Error(`no pattern ${request.pattern}`);
  }
}

/** Serves, with these calls. */
function serve(ask) {
  const server = http.createServer((incoming, response) => {
    const [, , pattern, marker] = incoming.url.split('/');
    if (incoming.url.startsWith('/leaf/')) {
      response.end('done\n');
      return;
    }
    const { 'pass-on': passOn, traceparent } = incoming.headers;
    const request = { pattern, marker, passOn, traceparent };
    work(request, ask).then(
      () => response.end('done\n', () => {
        if (pattern === 'after') ask(request, 1).catch(console.error);
      }),
      (error) => {
        response.statusCode = 500;
        response.end(String(error));
      },
    );
  });
  server.listen(Number(process.argv[2]), '127.0.0.1');
}

module.exports = { byAgent, byFetch, serve };
