// What the middle services in Node have in common; see tests/workloads/traces-go/work for what they do.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const timers = require('node:timers/promises');

const LATE = 5;
const [host, port] = process.env.LEAF.split(':');
const truth = fs.openSync(process.env.TRUTH, 'a');

/** Writes to standard output, as LINES says. */
function writer(kind) {
  switch (kind) {
    case undefined:
      return null;
    case 'console':
      return (text) => console.log(text);
    case 'pino': {
      const logger = require('pino')();
      return (text) => logger.info(text);
    }
    default:
      throw new Error(`no logger ${kind}`);
  }
}

const write = writer(process.env.LINES);

/** A line with the request's marker, numbered from 1: the truth which the sensor's records are held against. */
function note(request, place) {
  if (write) write(`working on ${request.marker}: ${place}.${(request.notes += 1)}`);
}

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

async function noted(request, ask, number, place = 'called') {
  await ask(request, number);
  note(request, place);
}

/** What is under way beside something else. */
async function branch(request, ask, number) {
  note(request, 'started');
  await noted(request, ask, number, 'started');
}

async function work(request, ask) {
  note(request, 'begin');
  switch (request.pattern) {
    case 'one':
      await noted(request, ask, 1);
      break;
    case 'seq':
      await noted(request, ask, 1);
      await noted(request, ask, 2);
      break;
    case 'par':
      await Promise.all([branch(request, ask, 1), branch(request, ask, 2)]);
      note(request, 'joined');
      break;
    case 'late':
      await timers.setTimeout(LATE);
      note(request, 'slept');
      await noted(request, ask, 1);
      break;
    case 'pool':
      await fs.promises.readFile(__filename);
      note(request, 'joined');
      await noted(request, ask, 1);
      break;
    case 'after':
      break;
    default:
      throw new Error(`no pattern ${request.pattern}`);
  }
  note(request, 'end');
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
    const request = { pattern, marker, passOn, traceparent, notes: 0 };
    work(request, ask).then(
      () => response.end('done\n', () => {
        note(request, 'after');
        if (pattern === 'after') noted(request, ask, 1, 'later').catch(console.error);
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
