// A gRPC client: all kinds of calls, then as many at once as it is told, each reported in a line of JSON.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sensor/workloads/grpc/calls"
)

type key struct{}

type watcher struct{}

func (watcher) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context { return ctx }

func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if report, ok := ctx.Value(key{}).(*calls.Report); ok {
		calls.Count(event, &report.Sent, &report.Received)
	}
}

func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}

var connection *grpc.ClientConn

// call makes one, with a context of its own, and reports it.
func call(marker int, method string, do func(ctx context.Context, method string) error) {
	report := &calls.Report{Marker: fmt.Sprintf("%016x", marker), Method: method}
	trace := fmt.Sprintf("00-%032x-%s-01", 1000+marker, report.Marker)
	ctx := metadata.AppendToOutgoingContext(context.WithValue(context.Background(), key{}, report),
		"traceparent", trace, "x-binary-bin", "\x00\xff\x01")
	begun := time.Now()
	err := do(ctx, method)
	said := *report
	said.Nanos, said.Begun = time.Since(begun).Nanoseconds(), begun.UnixNano()
	answer := status.Convert(err)
	said.Code, said.Message = calls.Of(answer.Code()), answer.Message()
	said.Sent, said.Received = calls.Read(&report.Sent, &report.Received)
	calls.Say(said)
}

func bytes(n int) *wrapperspb.BytesValue { return wrapperspb.Bytes(make([]byte, n)) }

func unary(in any, options ...grpc.CallOption) func(context.Context, string) error {
	return func(ctx context.Context, method string) error {
		return connection.Invoke(ctx, method, in, new(wrapperspb.BytesValue), options...)
	}
}

// streaming sends messages of these sizes and reads all answers.
func streaming(in []any, chat bool) func(context.Context, string) error {
	return func(ctx context.Context, method string) error {
		description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
		stream, err := connection.NewStream(ctx, description, method)
		if err != nil {
			return err
		}
		for _, message := range in {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
			if chat {
				if err := stream.RecvMsg(new(wrapperspb.BytesValue)); err != nil {
					return err
				}
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		for {
			if err := stream.RecvMsg(new(wrapperspb.BytesValue)); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}

func within(limit time.Duration, do func(context.Context, string) error) func(context.Context, string) error {
	return func(ctx context.Context, method string) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return do(ctx, method)
	}
}

func cancelled(after time.Duration, do func(context.Context, string) error) func(context.Context, string) error {
	return func(ctx context.Context, method string) error {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(after, cancel)
		return do(ctx, method)
	}
}

func main() {
	// client PORT STREAMS CALLS FIRST [kinds | slowly]: FIRST is the first call's marker.
	var numbers [3]int
	for i := range numbers {
		number, err := strconv.Atoi(os.Args[2+i])
		if err != nil {
			log.Fatal(err)
		}
		numbers[i] = number
	}
	streams, each, first := numbers[0], numbers[1], numbers[2]
	mode := append(os.Args[5:], "")[0]
	var err error
	connection, err = grpc.NewClient("127.0.0.1:"+os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(watcher{}))
	if err != nil {
		log.Fatal(err)
	}
	service := "/" + calls.Service + "/"
	number := func(n uint32) any { return wrapperspb.UInt32(n) }
	if mode == "kinds" {
		call(1, service+"Echo", unary(bytes(10)))
		call(2, service+"Echo", unary(bytes(100_000)))
		call(3, service+"Echo", unary(bytes(5000), grpc.UseCompressor(gzip.Name)))
		for code := range uint32(16) {
			call(10+int(code), service+"Fail", unary(number(code+1)))
		}
		call(30, service+"Collect", streaming([]any{bytes(1), bytes(0), bytes(70_000), bytes(3)}, false))
		call(31, service+"Count", streaming([]any{number(12)}, false))
		call(32, service+"Chat", streaming([]any{bytes(1), bytes(0), bytes(40_000), bytes(3)}, true))
		call(33, service+"Chat", streaming(nil, true))
		call(40, service+"Slow", within(100*time.Millisecond, unary(number(5000))))
		call(41, service+"Slow", cancelled(50*time.Millisecond, unary(number(5000))))
		call(42, service+"Slow", within(10*time.Second, cancelled(50*time.Millisecond, unary(number(5000)))))
		call(43, service+"Slow", within(time.Second, unary(number(1))))
		call(50, service+"Nothing", unary(bytes(1)))
		call(51, "/grpc.health.v1.Health/Check", func(ctx context.Context, method string) error {
			_, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		})
	}
	var group sync.WaitGroup
	for stream := range streams {
		group.Go(func() {
			for n := range each {
				if mode == "slowly" {
					call(first+stream*each+n, service+"Slow", unary(number(uint32(30+stream/2))))
				} else {
					call(first+stream*each+n, service+"Echo", unary(bytes(n%50)))
				}
			}
		})
	}
	group.Wait()
}
