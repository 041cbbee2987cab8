// A service that logs to two places. service PORT FILE: /on writes a line to standard output and one to FILE,
// and asks itself for /leaf, with a client of net/http and without any header of what it was asked.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

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
		response, err := http.Get("http://" + address + "/leaf?" + query)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		io.Copy(w, response.Body)
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
