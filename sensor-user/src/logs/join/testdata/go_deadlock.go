package main

import "sync"

func main() {
	var m sync.Mutex
	done := make(chan bool)
	go func() { m.Lock(); m.Lock(); done <- true }()
	<-done
}
