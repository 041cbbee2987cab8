// Go's net/http server as services use it: bench ADDRESS [log]. Every request is answered with 1 KiB; with `log`, and
// with a line on standard output.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	body := bytes.Repeat([]byte("x"), 1024)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	}
	if len(os.Args) > 2 {
		logger := log.New(os.Stdout, "", log.LstdFlags)
		silent := handler
		handler = func(w http.ResponseWriter, r *http.Request) {
			logger.Printf("request from %s for %s", r.RemoteAddr, r.URL.Path)
			silent(w, r)
		}
	}
	err := http.ListenAndServe(os.Args[1], http.HandlerFunc(handler))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
