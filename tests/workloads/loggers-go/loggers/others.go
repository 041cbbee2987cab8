package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// zapped is Zap as its two ready configurations have it.
func zapped(name string) {
	s := style{resolution: time.Microsecond, source: "stderr", caller: true}
	config, trace, span := zap.NewProductionConfig(), "trace_id", "span_id"
	config.Sampling = nil
	config.Level.SetLevel(zap.DebugLevel)
	if name == "zap-console" {
		config, trace, span = zap.NewDevelopmentConfig(), "traceID", "spanID"
		s.resolution, s.raw = time.Millisecond, true
	}
	// Of a warning of several lines its stack could not be told from them.
	logger, err := config.Build(zap.AddStacktrace(zap.ErrorLevel))
	if err != nil {
		log.Fatal(err)
	}
	levels := map[string]zapcore.Level{
		"debug": zap.DebugLevel, "info": zap.InfoLevel, "warn": zap.WarnLevel, "error": zap.ErrorLevel,
	}
	run(s, func(e event) place {
		var all []zap.Field
		for _, field := range e.fields {
			all = append(all, zap.Any(field.key, field.value))
		}
		if e.ids {
			all = append(all, zap.String(trace, traceID), zap.String(span, spanID))
		}
		if e.err != nil {
			all = append(all, zap.Error(e.err))
		}
		place := here()
		logger.Log(levels[e.level], e.message, all...)
		return place
	}, false)
}

func logrused(name string) {
	s := style{resolution: time.Second, source: "stderr", caller: true, text: true}
	logger, trace, span, spanValue := logrus.New(), "trace_id", "span_id", spanID
	logger.SetLevel(logrus.DebugLevel)
	logger.SetReportCaller(true)
	if name == "logrus-json" {
		logger.SetFormatter(&logrus.JSONFormatter{})
		s.text = false
		// Datadog's: a span's identifier is a decimal number.
		trace, span, spanValue = "dd.trace_id", "dd.span_id", "67667974448284343"
	}
	run(s, func(e event) place {
		entry := logrus.NewEntry(logger)
		for _, field := range e.fields {
			entry = entry.WithField(field.key, field.value)
		}
		if e.ids {
			entry = entry.WithField(trace, traceID).WithField(span, spanValue)
		}
		if e.err != nil {
			entry = entry.WithError(e.err).WithField("stack", stack())
		}
		level, err := logrus.ParseLevel(e.level)
		if err != nil {
			log.Fatal(err)
		}
		place := here()
		entry.Log(level, e.message)
		return place
	}, false)
}

func zerologged() {
	zerolog.TimeFieldFormat = zerolog.TimeFormatUnixMicro
	logger := zerolog.New(os.Stdout).With().Timestamp().Caller().Logger()
	run(style{resolution: time.Microsecond, source: "stdout", caller: true}, func(e event) place {
		level, err := zerolog.ParseLevel(e.level)
		if err != nil {
			log.Fatal(err)
		}
		entry := logger.WithLevel(level)
		for _, field := range e.fields {
			entry = entry.Any(field.key, field.value)
		}
		if e.ids {
			entry = entry.Str("X-Trace-ID", traceID).Str("span_id", spanID)
		}
		if e.err != nil {
			entry = entry.Err(e.err).Str("stack", stack())
		}
		place := here()
		entry.Msg(e.message)
		return place
	}, false)
}

// inText is what an event says where a logger has nothing but a message.
func inText(e event) string {
	text := e.message
	for _, field := range e.fields {
		text += fmt.Sprintf(" %s=%v", field.key, field.value)
	}
	if e.ids {
		text += " trace_id=" + traceID + " span_id=" + spanID
	}
	if e.err != nil {
		text += fmt.Sprintf(", recovered: %v\n%s", e.err, stack())
	}
	return text
}

// klogged is as Kubernetes' own components write: a message, or one with keys and values.
func klogged() {
	klog.InitFlags(nil)
	flag.Set("logtostderr", "true")
	flag.Set("v", "4")
	s := style{resolution: time.Microsecond, source: "stderr", caller: true, text: true, raw: true}
	// Verbose ones are of that level.
	s.levels = map[string]string{"debug": "info"}
	run(s, func(e event) place {
		var place place
		switch {
		case len(e.fields) > 0 || e.ids:
			var all []any
			for _, field := range e.fields {
				all = append(all, field.key, field.value)
			}
			if e.ids {
				all = append(all, "trace_id", traceID, "span_id", spanID)
			}
			place = here()
			klog.InfoS(e.message, all...)
		case e.level == "warn":
			place = here()
			klog.Warning(e.message)
		case e.level == "error":
			place = here()
			klog.Error(inText(e))
		default:
			place = here()
			klog.Info(e.message)
		}
		return place
	}, true)
	klog.Flush()
}

// standard has no levels; a stack is written as net/http does it with a handler that panics.
func standard() {
	logger := log.New(os.Stderr, "", log.LstdFlags|log.Lmicroseconds|log.Lshortfile)
	s := style{resolution: time.Microsecond, source: "stderr", caller: true, text: true, raw: true}
	s.levels = map[string]string{"debug": "", "info": "", "warn": "", "error": ""}
	run(s, func(e event) place {
		place := here()
		logger.Print(inText(e))
		return place
	}, true)
}

func park(gate chan struct{}) {
	<-gate
}

// fail ends the program as a bug does.
func fail(orders []string) string {
	return orders[len(orders)]
}

// panicked is a panic that nobody recovers from, with every goroutine.
func panicked() {
	said := truth{Message: "about to fail", Source: "stderr", Resolution: time.Second.Nanoseconds()}
	said.Before = time.Now().UnixNano()
	log.New(os.Stderr, "", log.LstdFlags).Print(said.Message)
	said.After = time.Now().UnixNano()
	out.Encode(said)
	go park(make(chan struct{}))
	time.Sleep(10 * time.Millisecond)
	now := time.Now().UnixNano()
	out.Encode(truth{
		// When it is over nobody knows any more.
		Before: now, After: now + int64(5*time.Second),
		Message: "panic: runtime error: index out of range [1] with length 1", Source: "stderr", Loose: true,
		Among: true,
		Words: []string{"goroutine 1 [running]:", "main.fail(", "main.main()", "main.park(", "main.panicked"},
	})
	fmt.Println(fail([]string{"o-17"}))
}
