// A service on net/http that OpenTelemetry's SDK traces, at both ends: sdk PORT
//
// Each span is a line of JSON on standard output.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"

	"sensor/workloads/traces/work"
)

type line struct {
	TraceID      string         `json:"trace_id"`
	SpanID       string         `json:"span_id"`
	ParentSpanID string         `json:"parent_span_id,omitempty"`
	Kind         string         `json:"kind"`
	Start        int64          `json:"start"`
	End          int64          `json:"end"`
	Attributes   map[string]any `json:"attributes"`
}

type exporter struct{ mutex sync.Mutex }

func (e *exporter) ExportSpans(_ context.Context, spans []trace.ReadOnlySpan) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, span := range spans {
		said := line{
			TraceID:    span.SpanContext().TraceID().String(),
			SpanID:     span.SpanContext().SpanID().String(),
			Kind:       span.SpanKind().String(),
			Start:      span.StartTime().UnixNano(),
			End:        span.EndTime().UnixNano(),
			Attributes: map[string]any{},
		}
		if parent := span.Parent(); parent.HasSpanID() {
			said.ParentSpanID = parent.SpanID().String()
		}
		for _, attribute := range span.Attributes() {
			said.Attributes[string(attribute.Key)] = attribute.Value.AsInterface()
		}
		if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
			return err
		}
	}
	return nil
}

func (*exporter) Shutdown(context.Context) error { return nil }

func main() {
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(&exporter{})))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	client := work.Client()
	client.Transport = otelhttp.NewTransport(client.Transport)
	call := work.HTTP(client)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The instrumentation passes the context on.
		r.Header.Set("Pass-On", "none")
		work.Serve(w, r, call)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], otelhttp.NewHandler(handler, "serve")))
}
