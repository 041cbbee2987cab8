// A gRPC server that says of each call what came of it, a line of JSON each.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/improbable-eng/grpc-web/go/grpcweb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sensor/workloads/grpc/calls"
)

// heard counts what one call sent and received.
type heard struct {
	report calls.Report
	begun  time.Time
}

type key struct{}

type watcher struct{}

func (watcher) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	call := &heard{report: calls.Report{Marker: calls.Marker(md), Method: info.FullMethodName}, begun: time.Now()}
	return context.WithValue(ctx, key{}, call)
}

func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	call := ctx.Value(key{}).(*heard)
	calls.Count(event, &call.report.Sent, &call.report.Received)
	if end, ok := event.(*stats.End); ok {
		report := call.report
		report.Sent, report.Received = calls.Read(&call.report.Sent, &call.report.Received)
		said := status.Convert(end.Error)
		report.Code, report.Message = calls.Of(said.Code()), said.Message()
		report.Nanos = time.Since(call.begun).Nanoseconds()
		calls.Say(report)
	}
}

func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}

func bytes(n int) *wrapperspb.BytesValue { return wrapperspb.Bytes(make([]byte, n)) }

// echo answers with as many bytes.
func echo(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.BytesValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	return bytes(len(in.Value)), nil
}

// fail answers with the code that it is asked for.
func fail(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.UInt32Value)
	if err := decode(in); err != nil {
		return nil, err
	}
	return nil, status.Error(codes.Code(in.Value), "no such thing: 50% of ☃")
}

// slow takes as many milliseconds as it is asked to.
func slow(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.UInt32Value)
	if err := decode(in); err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Duration(in.Value) * time.Millisecond):
		return bytes(1), nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// collect takes messages and answers once.
func collect(_ any, stream grpc.ServerStream) error {
	total := 0
	for {
		in := new(wrapperspb.BytesValue)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			return stream.SendMsg(bytes(total))
		} else if err != nil {
			return err
		}
		total += len(in.Value)
	}
}

// count answers with as many messages as it is asked for, each larger than the one before.
func count(_ any, stream grpc.ServerStream) error {
	in := new(wrapperspb.UInt32Value)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	for n := range in.Value {
		if err := stream.SendMsg(bytes(int(n) * 3000)); err != nil {
			return err
		}
	}
	return nil
}

// many answers with as many messages as it is asked for, all of them small.
func many(_ any, stream grpc.ServerStream) error {
	in := new(wrapperspb.UInt32Value)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	for range in.Value {
		if err := stream.SendMsg(bytes(10)); err != nil {
			return err
		}
	}
	return nil
}

// chat answers each message with one.
func chat(_ any, stream grpc.ServerStream) error {
	for {
		in := new(wrapperspb.BytesValue)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

// server PORT [MILLISECONDS [web]]: a connection is ended after that time; gRPC-Web over HTTP/1.1.
func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{grpc.StatsHandler(watcher{})}
	if age, _ := strconv.Atoi(append(os.Args[2:], "")[0]); age > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      time.Duration(age) * time.Millisecond,
			MaxConnectionAgeGrace: 10 * time.Second,
		}))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: calls.Service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Echo", Handler: echo},
			{MethodName: "Fail", Handler: fail},
			{MethodName: "Slow", Handler: slow},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Collect", Handler: collect, ClientStreams: true},
			{StreamName: "Count", Handler: count, ServerStreams: true},
			{StreamName: "Many", Handler: many, ServerStreams: true},
			{StreamName: "Chat", Handler: chat, ClientStreams: true, ServerStreams: true},
		},
	}, struct{}{})
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	if len(os.Args) > 3 && os.Args[3] == "web" {
		log.Fatal(http.Serve(listener, grpcweb.WrapServer(server)))
	}
	log.Fatal(server.Serve(listener))
}
