package main

import (
	"fmt"
	"sync"
	"time"
)

type order struct{ id int }

func (o *order) check(depth int) {
	if depth == 0 {
		panic(fmt.Errorf("order %d: no items\nand no customer", o.id))
	}
	o.check(depth - 1)
}

func main() {
	var wg sync.WaitGroup
	wait := make(chan int)
	for i := 0; i < 2; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); <-wait }()
	}
	go func() { select {} }()
	time.Sleep(10 * time.Millisecond)
	defer func() {
		if r := recover(); r != nil {
			panic(r)
		}
	}()
	(&order{7}).check(3)
	wg.Wait()
}
