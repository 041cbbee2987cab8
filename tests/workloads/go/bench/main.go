// Go's net/http server as services use it: bench ADDRESS. Every request is answered with 1 KiB.
package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
)

func main() {
	body := bytes.Repeat([]byte("x"), 1024)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	}
	err := http.ListenAndServe(os.Args[1], http.HandlerFunc(handler))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
