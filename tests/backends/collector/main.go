// A real OpenTelemetry Collector, as small as it gets: the OTLP receiver, and an exporter that
// writes what came out of the pipelines (traces and logs) as OTLP/JSON lines. The end-to-end tests build it, start it
// with a configuration file, and read those lines back.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

// jsonLines is the exporter's configuration.
type jsonLines struct {
	// Path of the file that is appended to, one export request a line.
	Path string `mapstructure:"path"`
}

type writer struct {
	lock sync.Mutex
	path string
	file *os.File
}

func (w *writer) Start(context.Context, component.Host) (err error) {
	w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

func (w *writer) Shutdown(context.Context) error { return w.file.Close() }

func (w *writer) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (w *writer) ConsumeTraces(_ context.Context, traces ptrace.Traces) error {
	line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	if err != nil {
		return err
	}
	return w.write(line)
}

func (w *writer) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	line, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	if err != nil {
		return err
	}
	return w.write(line)
}

func (w *writer) write(line []byte) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	_, err := w.file.Write(append(bytes.TrimSpace(line), '\n'))
	return err
}

func newTraces(_ context.Context, _ exporter.Settings, config component.Config) (exporter.Traces, error) {
	return &writer{path: config.(*jsonLines).Path}, nil
}

func newLogs(_ context.Context, _ exporter.Settings, config component.Config) (exporter.Logs, error) {
	return &writer{path: config.(*jsonLines).Path}, nil
}

func factories() (otelcol.Factories, error) {
	receivers := otlpreceiver.NewFactory()
	exporters := exporter.NewFactory(
		component.MustNewType("jsonlines"),
		func() component.Config { return &jsonLines{} },
		exporter.WithTraces(newTraces, component.StabilityLevelDevelopment),
		exporter.WithLogs(newLogs, component.StabilityLevelDevelopment),
	)
	return otelcol.Factories{
		Receivers: map[component.Type]receiver.Factory{receivers.Type(): receivers},
		Telemetry: otelconftelemetry.NewFactory(),
		Exporters: map[component.Type]exporter.Factory{exporters.Type(): exporters},
	}, nil
}

// selfSigned writes a certificate for 127.0.0.1, and its key, which trust in itself verifies.
func selfSigned(certificate, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "sensor tests"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: der},
		key:         {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "self-signed" {
		if err := selfSigned(os.Args[2], os.Args[3]); err != nil {
			log.Fatal(err)
		}
		return
	}
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Description: "for tests", Version: "0"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				DefaultScheme:     "file",
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
			},
		},
	})
	if err := command.Execute(); err != nil {
		log.Fatal(err)
	}
}
