package main

import (
	"log"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
)

func main() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]int
		m["x"] = 1
	}))
	log.Println("listening")
	http.Get(s.URL)
	log.Println("after")
	debug.PrintStack()
	var p *int
	*p = 1
}
