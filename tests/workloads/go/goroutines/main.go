// Tells which goroutine does what, in a header of everything that it sends (X-Goroutine).
//
// goroutines serve PORT: /leaf answers after a moment; /on first asks itself for /leaf, with a client of
// net/http, and without any header of what it was asked.
// goroutines call PORT CONCURRENCY COUNT: so many workers ask /on so often, each from its own goroutine.
// goroutines write PORT CONCURRENCY COUNT: the same, and each worker writes to its own connection itself.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const header = "X-Goroutine"

// id is what the runtime prints of the current goroutine: "goroutine 18 [running]:".
func id() string {
	var buffer [64]byte
	return string(bytes.Fields(buffer[:runtime.Stack(buffer[:], false)])[1])
}

var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func ask(url string) error {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	request.Header.Set(header, id())
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func serve(address string) error {
	http.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(header, id())
		time.Sleep(time.Millisecond)
		io.WriteString(w, "leaf")
	})
	http.HandleFunc("/on", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(header, id())
		if err := ask("http://" + address + "/leaf"); err != nil {
			log.Print(err)
			w.WriteHeader(http.StatusBadGateway)
		}
		io.WriteString(w, "on")
	})
	return http.ListenAndServe(address, nil)
}

func write(address string, count int) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for range make([]struct{}, count) {
		fmt.Fprintf(conn, "GET /on HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n\r\n", address, header, id())
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		io.Copy(io.Discard, response.Body)
	}
	return nil
}

func main() {
	address := "127.0.0.1:" + os.Args[2]
	if os.Args[1] == "serve" {
		log.Fatal(serve(address))
	}
	concurrency, _ := strconv.Atoi(os.Args[3])
	count, _ := strconv.Atoi(os.Args[4])
	// Until whoever looks on knows this program.
	time.Sleep(300 * time.Millisecond)
	var group sync.WaitGroup
	for range make([]struct{}, concurrency) {
		group.Add(1)
		go func() {
			defer group.Done()
			if os.Args[1] == "write" {
				if err := write(address, count); err != nil {
					log.Fatal(err)
				}
				return
			}
			for range make([]struct{}, count) {
				if err := ask("http://" + address + "/on"); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	group.Wait()
}
