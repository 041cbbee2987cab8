// Tells which goroutine a stream of HTTP/2 is for: a line of JSON for each, by both ends.
//
// goroutines grpc PORT [NEXT]: a gRPC server, which first calls the one at port NEXT, without any metadata.
// goroutines http PORT, goroutines xnet PORT: servers of HTTP/2 without TLS, of net/http and of x/net/http2.
// goroutines call PORT CONCURRENCY COUNT: so many workers make so many calls of gRPC over one connection.
// goroutines get PORT CONCURRENCY COUNT: the same by the HTTP/2 client of net/http.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const method = "/workload.v1.Goroutines/Call"

var (
	mutex sync.Mutex
	lines = json.NewEncoder(os.Stdout)
)

// say prints who does something for a stream. id is what the runtime prints: "goroutine 18 [running]:".
func say(side string, stream uint64) {
	var buffer [64]byte
	id, err := strconv.ParseUint(string(bytes.Fields(buffer[:runtime.Stack(buffer[:], false)])[1]), 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	mutex.Lock()
	defer mutex.Unlock()
	if err := lines.Encode(map[string]any{"side": side, "stream": stream, "goroutine": id}); err != nil {
		os.Exit(1)
	}
}

// number follows fields, which nobody is meant to see, to the stream's number.
func number(value any, fields ...string) uint64 {
	at := reflect.ValueOf(value)
	for _, field := range append(fields, "id") {
		for at.Kind() == reflect.Interface || at.Kind() == reflect.Pointer {
			at = at.Elem()
		}
		at = at.FieldByName(field)
	}
	return at.Uint()
}

func dial(port string) *grpc.ClientConn {
	connection, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return connection
}

// call is a unary call, made by hand to see its stream.
func call(ctx context.Context, connection *grpc.ClientConn) error {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wrapperspb.UInt32(1)); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	say("client", number(stream, "ClientStream", "attempt", "transportStream"))
	if err := stream.RecvMsg(new(wrapperspb.UInt32Value)); err != nil {
		return err
	}
	if err := stream.RecvMsg(new(wrapperspb.UInt32Value)); err != io.EOF {
		return err
	}
	return nil
}

func serve(listener net.Listener, next []string) error {
	var onward *grpc.ClientConn
	if len(next) > 0 {
		onward = dial(next[0])
	}
	handle := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		say("server", number(grpc.ServerTransportStreamFromContext(ctx)))
		in := new(wrapperspb.UInt32Value)
		if err := decode(in); err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
		if onward != nil {
			return in, call(ctx, onward)
		}
		return in, nil
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "workload.v1.Goroutines",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: handle}},
	}, struct{}{})
	return server.Serve(listener)
}

func protocols() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

func handler(w http.ResponseWriter, _ *http.Request) {
	say("server", number(w, "rws", "stream"))
	time.Sleep(time.Millisecond)
	io.WriteString(w, "done")
}

func get(client *http.Client, port string) error {
	response, err := client.Get("http://127.0.0.1:" + port + "/")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// workers do something so many times each, as the arguments say.
func workers(do func() error) {
	concurrency, _ := strconv.Atoi(os.Args[3])
	count, _ := strconv.Atoi(os.Args[4])
	// Until whoever looks on knows this program.
	time.Sleep(300 * time.Millisecond)
	var group sync.WaitGroup
	for range concurrency {
		group.Go(func() {
			for range count {
				if err := do(); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	group.Wait()
}

func main() {
	mode, port := os.Args[1], os.Args[2]
	switch mode {
	case "call":
		connection := dial(port)
		workers(func() error { return call(context.Background(), connection) })
		return
	case "get":
		client := &http.Client{Transport: &http.Transport{Protocols: protocols()}}
		workers(func() error { return get(client, port) })
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	switch mode {
	case "grpc":
		err = serve(listener, os.Args[3:])
	case "http":
		err = (&http.Server{Handler: http.HandlerFunc(handler), Protocols: protocols()}).Serve(listener)
	case "xnet":
		err = http.Serve(listener, h2c.NewHandler(http.HandlerFunc(handler), new(http2.Server)))
	}
	log.Fatal(err)
}
