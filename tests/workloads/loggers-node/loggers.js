// Node's loggers: loggers.js LOGGER. What is told of each record is described in tests/workloads/loggers-go.
'use strict';

const fs = require('node:fs');

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const truth = fs.openSync(process.env.TRUTH, 'w');

const FIELDS = {
  order_id: 'o-17', attempt: 3, delta: -5, ratio: 0.25, paid: true, path: '/a b/"c"', user: { id: 7, name: 'Ana' },
  tags: ['new', 'vip'], coupon: null,
};
const EXPECTED = {
  order_id: 'o-17', attempt: 3, delta: -5, ratio: 0.25, paid: true, path: '/a b/"c"', 'user.id': 7, 'user.name': 'Ana',
  tags: ['new', 'vip'],
};

function charge() {
  throw new TypeError('card declined');
}

function failure() {
  try {
    return charge();
  } catch (cause) {
    return new Error('no payment', { cause });
  }
}

const EVENTS = [
  { level: 'debug', message: 'cache warmed' },
  { level: 'info', message: 'order placed', fields: FIELDS },
  { level: 'info', message: 'größe ☃ 𝄞 done' },
  { level: 'warn', message: 'he said "no" \\ twice' },
  { level: 'warn', message: 'first line\nsecond line' },
  { level: 'info', message: 'order paid', ids: true },
  { level: 'error', message: 'payment failed', error: failure() },
];

// Wall clock, of which the loggers have whole milliseconds.
const MS = 1_000_000;


/** Times are whole milliseconds: they go out as digits, since no double holds them. */
function stamped(said, before, after) {
  const text = JSON.stringify(said);
  fs.writeSync(truth, `{"before":${before}000000,"after":${after}000000,${text.slice(1)}\n`);
}

function run(style, write) {
  for (const event of EVENTS) {
    const said = { message: event.message, source: style.source ?? 'stdout' };
    if (style.levels !== false) said.level = event.level;
    if (style.stamped !== false) said.resolution = MS;
    if (event.fields && !style.text) said.attributes = EXPECTED;
    if (event.ids) said.trace_id = TRACE_ID;
    if (event.ids && !style.noSpan) said.span_id = SPAN_ID;
    if (event.error) said.words = style.words ?? ['no payment', 'failure (', 'charge (', 'card declined'];
    said.loose = Boolean(style.text) || Boolean(event.error);
    said.split = Boolean(style.text) && event.message.includes('\n');
    if (style.source === 'both') said.source = ['warn', 'error'].includes(event.level) ? 'stderr' : 'stdout';
    const before = Date.now();
    write(event);
    stamped(said, before, Date.now() + 1);
  }
}

const LOGGERS = {
  pino() {
    const logger = require('pino')({ level: 'debug' });
    run({}, ({ level, message, fields, ids, error }) => {
      const more = ids ? { trace_id: TRACE_ID, span_id: SPAN_ID } : { ...fields };
      if (error) more.err = error;
      logger[level](more, message);
    });
  },

  bunyan() {
    const bunyan = require('bunyan');
    const logger = bunyan.createLogger({ name: 'shop', level: 'debug', serializers: bunyan.stdSerializers });
    // It leaves causes out.
    run({ words: ['no payment', 'at failure ('] }, ({ level, message, fields, ids, error }) => {
      const more = ids ? { trace_id: TRACE_ID, span_id: SPAN_ID } : { ...fields };
      if (error) more.err = error;
      logger[level](more, message);
    });
  },

  'winston-json'() {
    const winston = require('winston');
    const { combine, timestamp, json } = winston.format;
    const format = combine(timestamp(), json());
    const logger = winston.createLogger({ level: 'debug', format, transports: [new winston.transports.Console()] });
    run({}, ({ level, message, fields, ids, error }) => {
      const more = ids ? { traceId: TRACE_ID, spanId: SPAN_ID } : { ...fields };
      if (error) Object.assign(more, { stack: error.stack, cause: error.cause.stack });
      logger.log({ level, message, ...more });
    });
  },

  'winston-simple'() {
    const winston = require('winston');
    const { combine, timestamp, printf } = winston.format;
    const line = ({ timestamp: time, level, message, trace, stack }) =>
      `${time} ${level}: ${message}${trace ? ` trace=${trace}` : ''}${stack ? `\n${stack}` : ''}`;
    const format = combine(timestamp(), printf(line));
    const logger = winston.createLogger({ level: 'debug', format, transports: [new winston.transports.Console()] });
    run({ text: true, noSpan: true, words: ['no payment', 'at failure ('] }, ({ level, message, ids, error }) => {
      const more = ids ? { trace: TRACE_ID } : {};
      if (error) more.stack = error.stack;
      logger.log({ level, message, ...more });
    });
  },

  console() {
    const style = { text: true, levels: false, stamped: false, source: 'both' };
    run(style, ({ level, message, ids, error }) => {
      if (ids) console[level](`${message} trace_id=${TRACE_ID} span_id=${SPAN_ID}`);
      else if (error) console[level](message, error);
      else console[level](message);
    });
  },

  /** Of an error that nobody catches Node writes the stack, and where it was thrown. */
  uncaught() {
    const words = ['Error: no payment', 'at failure (', '[cause]: TypeError: card declined', 'at charge ('];
    // Where it was thrown comes before, and Node's version behind.
    const said = { message: 'Error: no payment', source: 'stderr', loose: true, among: true, words };
    // When it is over nobody knows any more.
    stamped(said, Date.now(), Date.now() + 5000);
    throw failure();
  },
};

LOGGERS[process.argv[2]]();
