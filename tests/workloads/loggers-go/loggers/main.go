// Go's loggers: loggers LOGGER
//
// Each writes the same records as its users have it write them, and what they are goes to the file TRUTH, a line of
// JSON each: what was handed to the logger, and the time before and after. What this cannot know, because the logger
// makes it (its words for levels, the resolution of its times, where it writes to), is said once for each logger.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

// truth of one record.
type truth struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
	// Of the logger's own time, in nanoseconds; none where it writes none.
	Resolution int64          `json:"resolution,omitempty"`
	Level      string         `json:"level,omitempty"`
	Message    string         `json:"message"`
	Source     string         `json:"source"`
	Attributes map[string]any `json:"attributes,omitempty"`
	// Attributes are text in this format, whatever they were.
	Untyped bool `json:"untyped,omitempty"`
	// The message has more around it, and attributes may be in its text.
	Loose bool `json:"loose,omitempty"`
	// The message is written as several lines, which may be one record or more.
	Split bool `json:"split,omitempty"`
	// Whoever wrote it may have written more, before and after.
	Among   bool     `json:"among,omitempty"`
	TraceID string   `json:"trace_id,omitempty"`
	SpanID  string   `json:"span_id,omitempty"`
	File    string   `json:"file,omitempty"`
	Line    int      `json:"line,omitempty"`
	Words   []string `json:"words,omitempty"`
}

var out = func() *json.Encoder {
	file, err := os.Create(os.Getenv("TRUTH"))
	if err != nil {
		log.Fatal(err)
	}
	return json.NewEncoder(file)
}()

// style is what is true of all records of a logger.
type style struct {
	resolution time.Duration
	source     string
	// It says where it was called.
	caller bool
	// Text, not JSON.
	text bool
	// Lines in messages are written as they are.
	raw bool
	// Its level for another, if it has no such; "" where it has none at all.
	levels map[string]string
}

// event is what is to be logged.
type event struct {
	level, message string
	fields         []field
	ids            bool
	err            error
}

type field struct {
	key   string
	value any
}

// place is a line of source.
type place struct {
	file string
	line int
}

// write logs, and returns the place of the call.
type write func(event) place

// here is the line after the one that calls it: where the logger is called.
func here() place {
	_, file, line, _ := runtime.Caller(1)
	return place{filepath.Base(file), line + 1}
}

type user struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func fields(text bool) []field {
	all := []field{
		{"order_id", "o-17"},
		{"attempt", 3},
		{"delta", -5},
		{"big", int64(9007199254740993)},
		{"ratio", 0.25},
		{"paid", true},
		{"path", `/a b/"c"`},
	}
	if !text {
		all = append(all, field{"user", user{7, "Ana"}}, field{"tags", []string{"new", "vip"}}, field{"coupon", nil})
	}
	return all
}

func events(s style) []event {
	return []event{
		{level: "debug", message: "cache warmed"},
		{level: "info", message: "order placed", fields: fields(s.text)},
		{level: "info", message: "größe ☃ 𝄞 done"},
		{level: "warn", message: `he said "no" \ twice`},
		{level: "warn", message: "first line\nsecond line"},
		{level: "info", message: "order paid", ids: true},
		{level: "error", message: "payment failed", err: errors.New("card declined")},
	}
}

// expected are the attributes of an event, nested ones with dots, and no null.
func expected(fields []field) map[string]any {
	all := map[string]any{}
	for _, field := range fields {
		switch value := field.value.(type) {
		case nil:
		case user:
			all[field.key+".id"], all[field.key+".name"] = value.ID, value.Name
		default:
			all[field.key] = value
		}
	}
	return all
}

func run(s style, write write, loose bool) {
	for _, event := range events(s) {
		said := truth{
			Resolution: s.resolution.Nanoseconds(),
			Level:      event.level,
			Message:    event.message,
			Source:     s.source,
			Attributes: expected(event.fields),
			Untyped:    s.text,
			Loose:      loose || s.raw && event.message == "first line\nsecond line",
			Split:      s.raw && event.message == "first line\nsecond line",
		}
		if level, ok := s.levels[event.level]; ok {
			said.Level = level
		}
		if event.ids {
			said.TraceID, said.SpanID = traceID, spanID
		}
		if event.err != nil {
			// Its stack, by whoever writes it.
			said.Words = []string{event.err.Error(), "main.run", "main.main"}
			said.Loose = loose || s.raw
		}
		said.Before = time.Now().UnixNano()
		place := write(event)
		said.After = time.Now().UnixNano()
		if s.caller {
			said.File, said.Line = place.file, place.line
		}
		if err := out.Encode(said); err != nil {
			log.Fatal(err)
		}
	}
}

func stack() string {
	return string(debug.Stack())
}

func slogged(logger *slog.Logger, trace, span string) write {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	return func(e event) place {
		var args []any
		for _, field := range e.fields {
			args = append(args, field.key, field.value)
		}
		if e.ids {
			args = append(args, trace, traceID, span, spanID)
		}
		if e.err != nil {
			args = append(args, "error", e.err, "stack", stack())
		}
		place := here()
		logger.Log(nil, levels[e.level], e.message, args...)
		return place
	}
}

func main() {
	options := slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}
	switch os.Args[1] {
	case "slog-json":
		handler := slog.NewJSONHandler(os.Stdout, &options)
		s := style{resolution: time.Nanosecond, source: "stdout", caller: true}
		run(s, slogged(slog.New(handler), "traceId", "spanId"), false)
	case "slog-text":
		handler := slog.NewTextHandler(os.Stdout, &options)
		s := style{resolution: time.Millisecond, source: "stdout", caller: true, text: true}
		run(s, slogged(slog.New(handler), "trace_id", "span_id"), false)
	case "zap-json", "zap-console":
		zapped(os.Args[1])
	case "logrus-text", "logrus-json":
		logrused(os.Args[1])
	case "zerolog":
		zerologged()
	case "klog":
		klogged()
	case "log":
		standard()
	case "panic":
		panicked()
	default:
		log.Fatalf("no logger %s", os.Args[1])
	}
}
