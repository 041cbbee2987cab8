// A service that logs to two places. service PORT FILE: /on writes a line to standard output and one to FILE, and asks
// itself for /leaf, over a connection that the goroutine of the request opens and writes to itself.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func ask(address, target string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, address)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func main() {
	address := "127.0.0.1:" + os.Args[1]
	file, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "leaf")
	})
	http.HandleFunc("/on", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.RawQuery
		fmt.Fprintln(os.Stdout, "to standard output", query)
		fmt.Fprintln(file, "to the file", query)
		if err := ask(address, "/leaf?"+query); err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
		io.WriteString(w, "on")
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
