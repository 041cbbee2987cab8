// A service on net/http that OpenTelemetry's SDK traces, at both ends: sdk PORT
//
// Its spans go to its standard output.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"

	"sensor/workloads/traces/work"
)

func main() {
	exporter, err := stdouttrace.New()
	if err != nil {
		log.Fatal(err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	client := work.Client()
	client.Transport = otelhttp.NewTransport(client.Transport)
	call := work.HTTP(client)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The instrumentation passes the context on.
		r.Header.Set("Pass-On", "none")
		work.Serve(w, r, call)
	})
	go func() {
		log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], otelhttp.NewHandler(handler, "serve")))
	}()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	if err := provider.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}
