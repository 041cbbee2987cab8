package work

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// AtOnce is how many requests there are at once: as many connections are kept.
const AtOnce = 64

// HTTP is a call by a client of net/http.
func HTTP(client *http.Client) Call {
	return func(ctx context.Context, path, traceparent string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+Leaf+path, nil)
		if err != nil {
			return err
		}
		if traceparent != "" {
			request.Header.Set("traceparent", traceparent)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, response.Status)
		}
		return nil
	}
}

// Client keeps connections.
func Client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * AtOnce}}
}

// Answer is the answer to every request: whole, and out when this returns.
func Answer(w http.ResponseWriter, err error) {
	code, body := http.StatusOK, "done\n"
	if err != nil {
		code, body = http.StatusInternalServerError, err.Error()
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(code)
	io.WriteString(w, body)
	w.(http.Flusher).Flush()
}

// Serve answers a request; at once, if it is a leaf's.
func Serve(w http.ResponseWriter, r *http.Request, call Call) {
	if strings.HasPrefix(r.URL.Path, "/leaf/") {
		Answer(w, nil)
		return
	}
	request, err := Parse(r.URL.Path, r.Header.Get("Pass-On"), r.Header.Get("Traceparent"))
	if err == nil {
		err = request.Do(r.Context(), call)
	}
	Answer(w, err)
	if err == nil {
		request.Note("after")
		request.After(call)
	}
}
