// A service of `node:http` at both ends, traced by OpenTelemetry's SDK: service.js PORT
//
// Each span is a line of JSON on standard output. It serves the patterns of tests/workloads/traces-go/work, and
// whatever is called as a leaf.
'use strict';

process.env.OTEL_SEMCONV_STABILITY_OPT_IN = 'http';

const { createRequire } = require('node:module');
// Scripts are not beside their packages.
const packages = createRequire(`${process.env.NODE_PATH}/`);
const { SpanKind } = packages('@opentelemetry/api');
const { registerInstrumentations } = packages('@opentelemetry/instrumentation');
const { HttpInstrumentation } = packages('@opentelemetry/instrumentation-http');
const { NodeTracerProvider, SimpleSpanProcessor } = packages('@opentelemetry/sdk-trace-node');

/** Nanoseconds since 1970, more than a number of JavaScript can hold. */
const nanos = ([seconds, rest]) => `${BigInt(seconds) * 1_000_000_000n + BigInt(rest)}`;

const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const line = {
        trace_id: traceId,
        span_id: spanId,
        parent_span_id: span.parentSpanContext?.spanId,
        kind: SpanKind[span.kind].toLowerCase(),
        attributes: span.attributes,
      };
      const times = `"start":${nanos(span.startTime)},"end":${nanos(span.endTime)}`;
      process.stdout.write(`{${times},${JSON.stringify(line).slice(1)}\n`);
    }
    done({ code: 0 });
  },
  async shutdown() {},
};

const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] });

// After the instrumentation, which patches `node:http` when it is loaded.
const { byAgent, serve } = require('../traces-node/work.js');

serve((request, number) => byAgent({ ...request, passOn: 'none' }, number));
