// A service on grpc-go, which calls by grpc-go: grpc PORT, and the one that it calls: grpc leaf PORT
//
// Markers are in the paths, so there is no method that could be registered: whatever is called is served.
package main

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"sensor/workloads/traces/work"
)

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// serve takes the one message of a call, does the work, and answers with one.
func serve(do func(ctx context.Context, path string) error) grpc.ServerOption {
	return grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		path, _ := grpc.MethodFromServerStream(stream)
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		if err := stream.RecvMsg(new(emptypb.Empty)); !errors.Is(err, io.EOF) {
			return errors.New("one message is asked for")
		}
		if err := do(stream.Context(), path); err != nil {
			return err
		}
		return stream.SendMsg(new(emptypb.Empty))
	})
}

func leaf(_ context.Context, path string) error {
	hash := fnv.New32a()
	hash.Write([]byte(path))
	time.Sleep(time.Duration(hash.Sum32()%4) * time.Millisecond)
	return nil
}

func middle() func(context.Context, string) error {
	conn, err := grpc.NewClient(work.Leaf, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	call := func(ctx context.Context, path, traceparent string) error {
		if traceparent != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
		}
		return conn.Invoke(ctx, path, new(emptypb.Empty), new(emptypb.Empty))
	}
	return func(ctx context.Context, path string) error {
		md, _ := metadata.FromIncomingContext(ctx)
		request, err := work.Parse(path, first(md, "pass-on"), first(md, "traceparent"))
		if err != nil {
			return err
		}
		if err := request.Do(ctx, call); err != nil {
			return err
		}
		if request.Pattern == "after" {
			// The answer is out some time after the handler has returned.
			time.AfterFunc(work.Late, func() { request.After(call) })
		}
		return nil
	}
}

func main() {
	port, do := os.Args[1], leaf
	if port == "leaf" {
		port = os.Args[2]
	} else {
		do = middle()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(grpc.NewServer(serve(do)).Serve(listener))
}
