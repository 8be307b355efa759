package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
)

// serve is the server of a build: it takes its listeners by LISTEN_FDS and has the application that
// lies in its folder, which is the settings file alone. A page names the build, the release and the
// process. As gunicorn it says that it is ready.
//
//   - Settings that contain "broken" make it exit with code 3 and say so.
//   - /sick makes it return 500 from then on.
//   - /say?TEXT prints a line.
//   - /hang prints that it does, and never returns.
func serve(gunicorn bool) error {
	name, release := os.Getenv("MEDCTRL_BUILD"), os.Getenv("MEDCTRL_RELEASE")
	settings, err := os.ReadFile(filepath.Join("api_settings", "settings", "deploy_"+name+".py"))
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return fmt.Errorf("LISTEN_FDS: %w", err)
	}
	listeners := make([]net.Listener, count)
	for i := range listeners {
		if listeners[i], err = net.FileListener(os.NewFile(3+uintptr(i), "listener")); err != nil {
			return fmt.Errorf("take listener %d: %w", i, err)
		}
	}
	if bytes.Contains(settings, []byte("broken")) {
		fmt.Println("these settings are broken")
		os.Exit(3)
	}
	var sick atomic.Bool
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s %s %d", name, release, os.Getpid())
	})
	pages.HandleFunc("/sick", func(http.ResponseWriter, *http.Request) { sick.Store(true) })
	pages.HandleFunc("/say", func(_ http.ResponseWriter, r *http.Request) { fmt.Println(r.URL.RawQuery) })
	pages.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { fmt.Println("hangs"); select {} })
	server := &http.Server{Handler: pages}
	server.SetKeepAlivesEnabled(false)
	told, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	drained := make(chan error, 1)
	go func() {
		<-told.Done()
		drained <- server.Shutdown(context.Background())
	}()
	if gunicorn {
		fd, err := strconv.Atoi(os.Getenv("MEDCTRL_READY_FD"))
		if err != nil {
			return fmt.Errorf("MEDCTRL_READY_FD: %w", err)
		}
		fmt.Fprintf(os.NewFile(uintptr(fd), "ready"), "%d 1", os.Getpid())
	}
	ended := make(chan error, count)
	for _, ln := range listeners {
		go func() { ended <- server.Serve(ln) }()
	}
	for range listeners {
		if err := <-ended; err != http.ErrServerClosed {
			return err
		}
	}
	return <-drained
}
