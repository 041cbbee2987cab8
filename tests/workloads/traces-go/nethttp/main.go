// A service on net/http: nethttp PORT
package main

import (
	"log"
	"net/http"
	"os"

	"sensor/workloads/traces/work"
)

func main() {
	call := work.HTTP(work.Client())
	handler := func(w http.ResponseWriter, r *http.Request) { work.Serve(w, r, call) }
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(handler)))
}
