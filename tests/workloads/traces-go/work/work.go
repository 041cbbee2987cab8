// Package work is what the middle services in Go have in common: what a request asks for, and what is passed
// on. Every service says in its log whom it calls on whose behalf, before it does: that is the truth which the
// sensor's parents are held against.
package work

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Late is how long `late` sleeps.
const Late = 5 * time.Millisecond

// workers of the pool: fewer than there are requests at once.
const workers = 8

// Call asks the leaf for a path, with a trace context if there is one.
type Call func(ctx context.Context, path, traceparent string) error

// Request is what a service is asked for: GET /work/PATTERN/MARKER, with the headers Pass-On and Traceparent.
type Request struct {
	Pattern, Marker     string
	PassOn, Traceparent string
	notes               *atomic.Int64
}

// Parse reads the path.
func Parse(path, passOn, traceparent string) (Request, error) {
	parts := strings.Split(path, "/")
	if len(parts) != 4 || parts[1] != "work" {
		return Request{}, fmt.Errorf("not /work/PATTERN/MARKER: %s", path)
	}
	return Request{parts[2], parts[3], passOn, traceparent, new(atomic.Int64)}, nil
}

// Leaf is the address of the leaf.
var Leaf = os.Getenv("LEAF")

var truth = sync.OnceValue(func() *os.File {
	file, err := os.OpenFile(os.Getenv("TRUTH"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	return file
})

var pool = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	for range workers {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	return jobs
})

// logger writes to standard output, as LINES says: log or slog; nothing else.
var logger = sync.OnceValue(func() func(text string) {
	switch kind := os.Getenv("LINES"); kind {
	case "":
		return nil
	case "log":
		logger := log.New(os.Stdout, "", log.LstdFlags)
		return func(text string) { logger.Print(text) }
	case "slog":
		logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
		return func(text string) { logger.Info(text) }
	default:
		log.Fatalf("no logger %s", kind)
		return nil
	}
})

// Note writes a line with the request's marker, and where that is: the truth which the sensor's records are held
// against. Lines of a request are numbered from 1.
func (r Request) Note(place string) {
	if write := logger(); write != nil {
		write(fmt.Sprintf("working on %s: %s.%d", r.Marker, place, r.notes.Add(1)))
	}
}

func (r Request) passed() string {
	switch r.PassOn {
	case "forwarded":
		return r.Traceparent
	case "fresh":
		var id [8]byte
		rand.Read(id[:])
		parts := strings.Split(r.Traceparent, "-")
		return strings.Join([]string{parts[0], parts[1], hex.EncodeToString(id[:]), parts[3]}, "-")
	default:
		return ""
	}
}

func (r Request) call(ctx context.Context, call Call, number int) error {
	to := fmt.Sprintf("%s.%d", r.Marker, number)
	if _, err := truth().WriteString(r.Marker + " " + to + "\n"); err != nil {
		return err
	}
	return call(ctx, "/leaf/"+to, r.passed())
}

// Do does what is to be done before the answer.
func (r Request) Do(ctx context.Context, call Call) error {
	r.Note("begin")
	if err := r.do(ctx, call); err != nil {
		return err
	}
	r.Note("end")
	return nil
}

func (r Request) do(ctx context.Context, call Call) error {
	switch r.Pattern {
	case "one":
		return r.noted(ctx, call, 1, "called")
	case "seq":
		if err := r.noted(ctx, call, 1, "called"); err != nil {
			return err
		}
		return r.noted(ctx, call, 2, "called")
	case "par":
		done := make(chan error, 2)
		for number := 1; number <= 2; number++ {
			go func() {
				r.Note("started")
				done <- r.noted(ctx, call, number, "started")
			}()
		}
		if err := <-done; err != nil {
			return err
		}
		err := <-done
		r.Note("joined")
		return err
	case "late":
		time.Sleep(Late)
		r.Note("slept")
		return r.noted(ctx, call, 1, "called")
	case "pool":
		// Goroutines that were there before make the call.
		done := make(chan error)
		pool() <- func() {
			r.Note("pooled")
			done <- r.noted(ctx, call, 1, "pooled")
		}
		err := <-done
		r.Note("joined")
		return err
	case "after":
		return nil
	default:
		return fmt.Errorf("no pattern %s", r.Pattern)
	}
}

// noted is a call, and a line when it is over.
func (r Request) noted(ctx context.Context, call Call, number int, place string) error {
	err := r.call(ctx, call, number)
	r.Note(place)
	return err
}

// After does what is to be done when the answer is out, in a goroutine that nobody waits for.
func (r Request) After(call Call) {
	if r.Pattern == "after" {
		go func() {
			r.Note("later")
			if err := r.noted(context.Background(), call, 1, "later"); err != nil {
				log.Print(err)
			}
		}()
	}
}
