// Package calls is what the client and the server share: a service without generated code, and what each says of a call.
package calls

import (
	"encoding/json"
	"os"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// Service is the service's name.
const Service = "workload.v1.Calls"

// Report is what one side says of a call.
type Report struct {
	// Marker tells the call from all others: it is the parent-id of its traceparent.
	Marker string `json:"marker"`
	Method string `json:"method"`
	// Code is absent where this side does not know of any.
	Code     *uint32 `json:"code,omitempty"`
	Message  string  `json:"message,omitempty"`
	Sent     int64   `json:"sent"`
	Received int64   `json:"received"`
	Nanos    int64   `json:"nanoseconds"`
	// Begun is the client's: nanoseconds since 1970.
	Begun int64 `json:"begun,omitempty"`
}

var mutex sync.Mutex

// Say prints a report as a line.
func Say(report Report) {
	mutex.Lock()
	defer mutex.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		os.Exit(1)
	}
}

// Of gives a code to report.
func Of(code codes.Code) *uint32 {
	number := uint32(code)
	return &number
}

// Marker is what a call's metadata say of it.
func Marker(md metadata.MD) string {
	values := md.Get("traceparent")
	if len(values) != 1 || len(values[0]) != 55 {
		return ""
	}
	return values[0][36:52]
}

// Count counts messages that went by, as gRPC itself counts them.
func Count(event stats.RPCStats, sent, received *int64) {
	mutex.Lock()
	defer mutex.Unlock()
	switch event.(type) {
	case *stats.OutPayload:
		*sent++
	case *stats.InPayload:
		*received++
	}
}

// Read gives counts that are being counted.
func Read(sent, received *int64) (int64, int64) {
	mutex.Lock()
	defer mutex.Unlock()
	return *sent, *received
}
