package main

import (
	"os"
	"syscall"
	"time"
)

func main() {
	go func() { select {} }()
	time.Sleep(10 * time.Millisecond)
	syscall.Kill(os.Getpid(), syscall.SIGQUIT)
	time.Sleep(time.Second)
}
